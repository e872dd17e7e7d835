//! Schemas for OpenAPI of types that are written to JSON by hand. Those of all others are derived.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use crate::{
    clock::Timestamp,
    values::{Count, ProfileKey, PublicId, QualifiedRepo, RunId, UniqueId},
};

macro_rules! schema {
    ($type:ident, $object:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let object: ObjectBuilder = $object;
                object.build().into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($type))
            }
        }
    };
}

fn text(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
}

fn number(min: f64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(min))
}

schema!(UniqueId, text(r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$"));
schema!(PublicId, text("^[0-9a-f]{16}$"));
schema!(ProfileKey, text(r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$"));
schema!(
    QualifiedRepo,
    text(r"^(?!\.{1,2}/)[A-Za-z0-9._-]{1,100}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$")
);
schema!(RunId, number(0.0).maximum(Some(usize::MAX)));
schema!(Count, number(1.0).maximum(Some(64.0)));
schema!(
    Timestamp,
    number(0.0)
        .maximum(Some(usize::MAX))
        .description(Some("microseconds since the Unix epoch"))
);
