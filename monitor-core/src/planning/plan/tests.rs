//! What is planned: row by row of the reconciler's table in `table`, the rules of destruction and
//! creation in `order`.

mod order;
mod table;
