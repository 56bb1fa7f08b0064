//! Reading a list of products of any length, one at a time.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserializer as _;
use serde::de::{self, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::hashing::Hashing;
use crate::error::WebShopError;
use crate::raw::RawItem;

/// Hands on each record of `items_shuffle*.json`, or what is wrong with it; gives the BLAKE3 hash
/// of the file.
///
/// # Errors
/// A file that cannot be read, or that is no JSON from some record on; and those of `take`.
pub(super) fn each_item(
    path: &Path,
    take: &mut dyn FnMut(Result<RawItem, String>) -> Result<(), WebShopError>,
) -> Result<String, WebShopError> {
    let failed = |source| WebShopError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut reading = Hashing::new(file);
    let mut parser =
        serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 20, &mut reading));
    let mut records = Records { take, failure: None, n_read: None };
    let result = parser.deserialize_seq(&mut records).and_then(|()| parser.end());
    if let Some(failure) = records.failure.take() {
        return Err(failure);
    }
    let n_read = records.n_read;
    result.map_err(|error| match (error.classify(), n_read) {
        (serde_json::error::Category::Io, _) => failed(error.into()),
        (_, None) => WebShopError::syntax(path, "a list of products", &error),
        (_, Some(n)) => broken(path, n, &error),
    })?;
    Ok(reading.hash())
}

/// The record after so many is no JSON: where the next one begins cannot be known.
fn broken(path: &Path, n_before: usize, error: &serde_json::Error) -> WebShopError {
    WebShopError::Record {
        path: path.to_owned(),
        record: (n_before + 1).to_string(),
        message: format!(
            "no JSON ({error}): the file is damaged or cut off there; get it again, or take this \
             record out"
        ),
    }
}

struct Records<'a> {
    take: &'a mut dyn FnMut(Result<RawItem, String>) -> Result<(), WebShopError>,
    failure: Option<WebShopError>,
    /// Records read; none where the file is no list.
    n_read: Option<usize>,
}

impl<'de> Visitor<'de> for &mut Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of products")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.n_read = Some(0);
        for n in 1.. {
            let Some(record) = list.next_element::<Box<RawValue>>()? else { break };
            self.n_read = Some(n);
            let item = serde_json::from_str(record.get()).map_err(|error| error.to_string());
            if let Err(failure) = (self.take)(item) {
                self.failure = Some(failure);
                return Err(de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
