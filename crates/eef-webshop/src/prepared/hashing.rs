//! Hashes of what is read and written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Bytes that are hashed and counted on their way.
pub(super) struct Hashing<T> {
    pub(super) inner: T,
    hasher: blake3::Hasher,
    n_bytes: u64,
}

impl<T> Hashing<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), n_bytes: 0 }
    }

    /// BLAKE3 of what has passed, in hexadecimal.
    pub(super) fn hash(&self) -> String {
        self.hasher.finalize().to_string()
    }

    pub(super) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.n_bytes += bytes.len() as u64;
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.passed(&buffer[..n]);
        Ok(n)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.passed(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// BLAKE3 of a file, in hexadecimal.
pub(super) fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = Hashing::new(File::open(path)?);
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(file.hash())
}
