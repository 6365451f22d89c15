//! The coordinator of colearn: engine, store, gRPC services.
