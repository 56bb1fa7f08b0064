//! SQLite's errors in the store's words.

use rusqlite::{Error, ErrorCode};

use crate::StoreError;

/// Turns a failure of SQLite into a typed error.
pub(super) fn failed(doing: &'static str) -> impl Fn(Error) -> StoreError {
    move |source| match &source {
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        // Our statements are right for our tables.
        | Error::SqlInputError { .. }
        | Error::Utf8Error(..) => damaged(doing, &source),
        _ => match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull { doing },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(doing, &source),
            _ => StoreError::Sqlite { doing, source },
        },
    }
}

fn damaged(doing: &str, source: &Error) -> StoreError {
    StoreError::damaged(format!("while {doing}"), source.to_string())
}
