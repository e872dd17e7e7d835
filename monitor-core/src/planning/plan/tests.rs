//! Plans: each row of the status table in `table`; the order and limits of destructions and creations
//! in `order`.

mod order;
mod table;
