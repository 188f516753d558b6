//! Descriptions of results, each kept once: the same one comes back with every execution.

use std::rc::Rc;

use crate::fact::{Origin, Span};
use crate::malformed::Malformed;
use crate::postgres::limits::{SHAPE_KEPT_BYTES_MAX, SHAPES_KEPT_MAX};
use crate::postgres::message::{Format, RowDescription};

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    name: Span,
    /// `None` for expressions and results without a table.
    pub origin: Option<Origin>,
    pub type_oid: u32,
    /// As described; the formats of a Bind win over it.
    pub format: Format,
}

/// The columns of a result.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    body: Box<[u8]>,
    pub columns: Box<[Column]>,
}

impl Shape {
    /// Reads the body of a RowDescription.
    ///
    /// # Errors
    /// A body that does not follow the format.
    pub fn read(body: &[u8]) -> Result<Shape, Malformed> {
        let description = RowDescription::parse(body)?;
        let columns = description.fields().map(|field| Column {
            name: field.offset..field.offset + field.name.len(),
            origin: (field.table_oid != 0 && field.attribute != 0).then_some(Origin {
                table: field.table_oid,
                attribute: field.attribute,
            }),
            type_oid: field.type_oid,
            format: field.format,
        });
        Ok(Shape {
            columns: columns.collect(),
            body: body.into(),
        })
    }

    /// The column's name as the client sees it.
    pub fn name(&self, column: &Column) -> &[u8] {
        self.body.get(column.name.clone()).unwrap_or_default()
    }
}

/// The shapes seen last.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    kept: Vec<Rc<Shape>>,
    oldest: usize,
}

impl Shapes {
    /// The shape that `body` describes: the one read before if it is the same to the byte.
    pub(super) fn read(&mut self, body: &[u8]) -> Result<Rc<Shape>, Malformed> {
        if let Some(shape) = self.kept.iter().find(|shape| *shape.body == *body) {
            return Ok(Rc::clone(shape));
        }
        let shape = Rc::new(Shape::read(body)?);
        if body.len() > SHAPE_KEPT_BYTES_MAX {
            return Ok(shape);
        }
        match self.kept.get_mut(self.oldest) {
            Some(slot) => *slot = Rc::clone(&shape),
            None => self.kept.push(Rc::clone(&shape)),
        }
        self.oldest = (self.oldest + 1) % SHAPES_KEPT_MAX;
        Ok(shape)
    }
}
