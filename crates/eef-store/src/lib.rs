//! Durable trajectory storage: SQLite with checksums, and an in-memory twin.
