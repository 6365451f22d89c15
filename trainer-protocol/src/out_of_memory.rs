//! Recognises a lack of memory: in messages, and as the reason why the system killed a process.

mod watch;

pub use watch::OutOfMemoryWatch;

/// Texts in lower case: of CUDA's allocator and its libraries, of C++, of libtorch's CPU allocator, of the system,
/// and of Rust before it aborts.
const WORDS: [&str; 8] = [
    "out of memory",
    "outofmemory",
    "status_alloc_failed",
    "bad_alloc",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "memory allocation of",
];

/// Whether a message reports a lack of memory.
#[must_use]
pub fn tells_of_it(message: &str) -> bool {
    let message = message.to_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allocator_is_understood() {
        for message in [
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB",
            "CUDA error: out of memory",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes. Error code 12 (Cannot allocate memory)",
            "DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.",
            "memory allocation of 4096 bytes failed",
        ] {
            assert!(tells_of_it(message), "{message}");
        }
        assert!(!tells_of_it("CUDA error: an illegal memory access was encountered"));
    }
}
