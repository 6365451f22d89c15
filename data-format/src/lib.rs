//! The data set format of colearn: reading, checking, generating.
