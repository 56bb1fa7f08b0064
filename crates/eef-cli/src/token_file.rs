//! Training sets as token ids with our own mask, in a Parquet file: what a large full fine-tune
//! elsewhere reads without tokenizing anything again.
//!
//! | column | type | what |
//! |---|---|---|
//! | `input_ids` | list of int64 | the token ids |
//! | `labels` | list of int64, as long | the token's own id where it carries loss, [`IGNORED`] elsewhere |
//! | `trajectory` | string | its id |
//! | `train_from` | int64 | the first action that is trained |
//!
//! Labels are Hugging Face's, not shifted: `labels[i]` is `input_ids[i]` or nothing. That is how
//! [`LossMask`](eef_chat::LossMask) lies too (its entry `i` says whether token `i` is predicted from
//! those before it, so the first never is), and transformers shifts by itself where it computes a loss.
//! There is no `attention_mask`: nothing is padded. Integers have 64 bits because torch's
//! cross-entropy takes no others as labels; on disk they are numbers of a dictionary.
//!
//! Parquet nests by levels: of a list in which nothing may be missing, every value has definition level
//! 1, and repetition level 0 where a list begins, 1 where it goes on.

use std::sync::Arc;

use eef_chat::Example;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// The label of tokens without loss: what torch's cross-entropy leaves out unless told otherwise.
pub const IGNORED: i64 = -100;

const SCHEMA: &str = "
    message training_set {
        required group input_ids (LIST) { repeated group list { required int64 element; } }
        required group labels (LIST) { repeated group list { required int64 element; } }
        required binary trajectory (STRING);
        required int64 train_from;
    }";

/// Rows that are written, and can be read, at once.
const N_ROWS_OF_GROUP: usize = 1_000;

/// One example of a training set.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is trained on.
    pub example: Example,
    /// The trajectory that it is of, in hexadecimal.
    pub trajectory: String,
    /// The first of its actions that is trained.
    pub train_from: usize,
}

impl Row {
    fn input_ids(&self) -> impl Iterator<Item = i64> {
        self.example.token_ids.iter().map(|id| i64::from(*id))
    }

    fn labels(&self) -> impl Iterator<Item = i64> {
        let mask = self.example.loss_mask.as_slice();
        self.input_ids().zip(mask).map(|(id, trained)| if *trained { id } else { IGNORED })
    }
}

/// The bytes of a Parquet file with these rows, in their order; the same rows give the same bytes.
pub fn to_bytes(rows: &[Row]) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("eef-cli ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    for rows in rows.chunks(N_ROWS_OF_GROUP) {
        let mut group = writer.next_row_group()?;
        lists(&mut group, rows.iter().map(Row::input_ids))?;
        lists(&mut group, rows.iter().map(Row::labels))?;
        let ids = rows.iter().map(|row| ByteArray::from(row.trajectory.as_str()));
        column::<ByteArrayType>(&mut group, &ids.collect::<Vec<_>>(), None)?;
        let first = rows.iter().map(|row| row.train_from as i64);
        column::<Int64Type>(&mut group, &first.collect::<Vec<_>>(), None)?;
        group.close()?;
    }
    writer.into_inner()
}

/// Definition and repetition levels, one of each for a value.
type Levels = (Vec<i16>, Vec<i16>);

/// A column of lists, none of them empty.
fn lists(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    lists: impl Iterator<Item = impl Iterator<Item = i64>>,
) -> Result<(), ParquetError> {
    let (mut values, mut repeats) = (Vec::new(), Vec::new());
    for list in lists {
        let before = values.len();
        values.extend(list);
        repeats.extend((before..values.len()).map(|index| i16::from(index > before)));
    }
    let levels = (vec![1; values.len()], repeats);
    column::<Int64Type>(group, &values, Some(&levels))
}

/// The next column.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    levels: Option<&Levels>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the schema has fewer columns".to_owned()));
    };
    let (defined, repeated) = levels.map(|(d, r)| (d.as_slice(), r.as_slice())).unzip();
    column.typed::<T>().write_batch(values, defined, repeated)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use eef_chat::LossMask;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::{Field, RowAccessor as _};

    use super::*;

    fn row(number: usize, token_ids: &[u32], trained: &[bool]) -> Row {
        let loss_mask = LossMask::new(trained.to_vec()).unwrap();
        let example = Example { token_ids: token_ids.to_vec(), loss_mask };
        Row { example, trajectory: format!("{number:032x}"), train_from: number }
    }

    fn numbers(field: &parquet::record::Row, column: usize) -> Vec<i64> {
        let number = |field: &Field| match field {
            Field::Long(number) => *number,
            other => panic!("{other:?}"),
        };
        field.get_list(column).unwrap().elements().iter().map(number).collect()
    }

    /// Rows as another program reads them: what is no label carries no loss.
    fn read(bytes: &[u8]) -> Vec<Row> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let read = reader.get_row_iter(None).unwrap().map(|found| {
            let found = found.unwrap();
            let (ids, labels) = (numbers(&found, 0), numbers(&found, 1));
            assert_eq!(ids.len(), labels.len());
            for (id, label) in ids.iter().zip(&labels) {
                assert!(label == id || *label == IGNORED, "{label} at {id}");
            }
            let ids: Vec<u32> = ids.into_iter().map(|id| id.try_into().unwrap()).collect();
            let trained: Vec<bool> = labels.iter().map(|label| *label != IGNORED).collect();
            let train_from = found.get_long(3).unwrap() as usize;
            let trajectory = found.get_string(2).unwrap().clone();
            Row { trajectory, ..row(train_from, &ids, &trained) }
        });
        read.collect()
    }

    fn is_same(one: &[Row], other: &[Row]) -> bool {
        let key = |row: &Row| (row.example.clone(), row.trajectory.clone(), row.train_from);
        one.iter().map(key).eq(other.iter().map(key))
    }

    #[test]
    fn ids_and_masks_come_back_from_more_than_one_group() {
        let rows: Vec<Row> = (0..=2 * N_ROWS_OF_GROUP)
            .map(|number| {
                let ids: Vec<u32> = (0..2 + number as u32 % 7).map(|i| i * 20_011).collect();
                let trained: Vec<bool> =
                    (0..ids.len()).map(|i| i > 0 && (i + number) % 3 > 0 || i == 1).collect();
                row(number, &ids, &trained)
            })
            .collect();
        let bytes = to_bytes(&rows).unwrap();
        assert!(is_same(&read(&bytes), &rows));
        assert_eq!(to_bytes(&rows).unwrap(), bytes, "the same rows give the same bytes");
    }

    #[test]
    fn one_flipped_value_is_another_file() {
        let rows = [row(3, &[5, 6, 7], &[false, true, false]), row(4, &[8, 9], &[false, true])];
        let others = [
            row(3, &[5, 6, 7], &[false, true, true]),
            row(3, &[5, 6, 8], &[false, true, false]),
            row(2, &[5, 6, 7], &[false, true, false]),
            row(3, &[5, 6], &[false, true]),
        ];
        assert!(is_same(&read(&to_bytes(&rows).unwrap()), &rows));
        for other in others {
            let other = [other, rows[1].clone()];
            assert!(!is_same(&read(&to_bytes(&other).unwrap()), &rows));
        }
    }

    #[test]
    fn no_rows_are_a_file_without_rows() {
        assert!(read(&to_bytes(&[]).unwrap()).is_empty());
    }
}
