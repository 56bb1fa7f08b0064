//! WebShop in Rust: catalogue, search, pages, rewards and scripted teachers.
