//! Writing a catalogue, a product at a time.

use std::io::{self, Write};

use super::{MAGIC, Product};

/// Takes products in load order. Keeps in memory where each record ends, and the asins.
pub(crate) struct CatalogWriter<W> {
    out: W,
    ends: Vec<u64>,
    asins: Vec<String>,
    /// Bytes written.
    position: u64,
}

impl<W: Write> CatalogWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, ends: Vec::new(), asins: Vec::new(), position: 0 }
    }

    /// How many products it has.
    pub(crate) fn len(&self) -> usize {
        self.asins.len()
    }

    /// Adds a product, whose asin must be new.
    pub(crate) fn push(&mut self, product: &Product<'_>) -> io::Result<()> {
        let record = postcard::to_stdvec(product).map_err(io::Error::other)?;
        self.write(&record)?;
        self.ends.push(self.position);
        self.asins.push(product.asin.to_owned());
        Ok(())
    }

    /// Ends the catalogue; gives what was written to, and the places in the order of asins.
    pub(crate) fn finish(mut self) -> io::Result<(W, Vec<u32>)> {
        let n_products = self.asins.len();
        let mut places: Vec<u32> = (0..n_products).map(|place| place as u32).collect();
        places.sort_by(|a, b| self.asins[*a as usize].cmp(&self.asins[*b as usize]));
        let ends_at = self.position;
        for end in std::mem::take(&mut self.ends) {
            self.write(&end.to_le_bytes())?;
        }
        let places_at = self.position;
        for place in &places {
            self.write(&place.to_le_bytes())?;
        }
        let asins_at = self.position;
        let width = self.asins.iter().map(String::len).max().unwrap_or(0);
        for place in &places {
            let mut asin = std::mem::take(&mut self.asins[*place as usize]).into_bytes();
            asin.resize(width, 0);
            self.write(&asin)?;
        }
        for number in [n_products as u64, ends_at, places_at, asins_at, width as u64] {
            self.write(&number.to_le_bytes())?;
        }
        self.write(&MAGIC)?;
        self.out.flush()?;
        Ok((self.out, places))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}
