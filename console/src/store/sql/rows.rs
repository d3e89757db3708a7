//! What a query gives.

use super::{Error, FromSql, Result, ValueRef};
use crate::store::postgres::Raw;

/// The rows of a query, one after the other.
pub struct Rows<'a>(Source<'a>);

enum Source<'a> {
    Sqlite(rusqlite::Rows<'a>),
    Postgres(std::vec::IntoIter<tokio_postgres::Row>),
}

impl<'a> Rows<'a> {
    pub(super) fn sqlite(rows: rusqlite::Rows<'a>) -> Self {
        Self(Source::Sqlite(rows))
    }

    pub(super) fn postgres(rows: Vec<tokio_postgres::Row>) -> Self {
        Self(Source::Postgres(rows.into_iter()))
    }

    /// The next row.
    #[allow(clippy::should_implement_trait)] // A row borrows from the rows, which an iterator cannot say.
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        match &mut self.0 {
            Source::Sqlite(rows) => Ok(rows.next()?.map(|row| Row(Values::Sqlite(row)))),
            Source::Postgres(rows) => Ok(rows.next().map(Row::postgres)),
        }
    }
}

/// Rows with what is read from each.
pub struct MappedRows<'a, F> {
    rows: Rows<'a>,
    read: F,
}

impl<'a, F> MappedRows<'a, F> {
    pub(super) fn new(rows: Rows<'a>, read: F) -> Self {
        Self { rows, read }
    }
}

impl<T, F> Iterator for MappedRows<'_, F>
where
    F: FnMut(&Row<'_>) -> Result<T>,
{
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.rows.next() {
            Ok(row) => row.map(|row| (self.read)(&row)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// One row.
pub struct Row<'a>(Values<'a>);

enum Values<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(tokio_postgres::Row),
}

impl Row<'_> {
    pub(super) fn postgres(row: tokio_postgres::Row) -> Self {
        Self(Values::Postgres(row))
    }

    /// The value of a column, by place or by name.
    pub fn get<I: RowIndex, T: FromSql>(&self, column: I) -> Result<T> {
        T::column_result(self.get_ref(column)?).map_err(|error| match error {
            Error::Unreadable(why) => Error::Unreadable(format!("{}: {why}", column.named())),
            other => other,
        })
    }

    /// As [`Row::get`], without a copy.
    pub fn get_ref<I: RowIndex>(&self, column: I) -> Result<ValueRef<'_>> {
        match &self.0 {
            Values::Sqlite(row) => Ok(match column.of_sqlite(row)? {
                rusqlite::types::ValueRef::Null => ValueRef::Null,
                rusqlite::types::ValueRef::Integer(number) => ValueRef::Integer(number),
                rusqlite::types::ValueRef::Real(number) => ValueRef::Real(number),
                rusqlite::types::ValueRef::Text(text) => ValueRef::Text(text),
                rusqlite::types::ValueRef::Blob(bytes) => ValueRef::Blob(bytes),
            }),
            Values::Postgres(row) => column.of_postgres(row),
        }
    }
}

/// What names a column.
pub trait RowIndex: Copy {
    /// For an error.
    fn named(self) -> String;
    /// The value in a row of SQLite.
    #[doc(hidden)]
    fn of_sqlite<'a>(self, row: &'a rusqlite::Row<'_>) -> Result<rusqlite::types::ValueRef<'a>>;
    /// The value in a row of PostgreSQL.
    #[doc(hidden)]
    fn of_postgres(self, row: &tokio_postgres::Row) -> Result<ValueRef<'_>>;
}

impl RowIndex for usize {
    fn named(self) -> String {
        format!("column {self}")
    }

    fn of_sqlite<'a>(self, row: &'a rusqlite::Row<'_>) -> Result<rusqlite::types::ValueRef<'a>> {
        Ok(row.get_ref(self)?)
    }

    fn of_postgres(self, row: &tokio_postgres::Row) -> Result<ValueRef<'_>> {
        Ok(row.try_get::<_, Raw<'_>>(self)?.0)
    }
}

impl RowIndex for &str {
    fn named(self) -> String {
        format!("column {self}")
    }

    fn of_sqlite<'a>(self, row: &'a rusqlite::Row<'_>) -> Result<rusqlite::types::ValueRef<'a>> {
        Ok(row.get_ref(self)?)
    }

    fn of_postgres(self, row: &tokio_postgres::Row) -> Result<ValueRef<'_>> {
        Ok(row.try_get::<_, Raw<'_>>(self)?.0)
    }
}
