//! How a type becomes canonical: its fields in order, or its variants with their tags.

use crate::Canonical;

/// Implements [`Canonical`] for a struct by its fields in the order given: that order is the format. Every field must
/// be named, or the build fails; a tuple struct's fields are `0`, `1`, ….
///
/// ```
/// struct Lots(i64);
/// struct Line { id: u32, lots: Lots }
/// codec::canonical_struct!(Lots { 0 });
/// codec::canonical_struct!(Line { id, lots });
/// assert_eq!(codec::to_bytes(&Line { id: 1, lots: Lots(2) }).len(), 6 + 4 + 8);
/// ```
#[macro_export]
macro_rules! canonical_struct {
    ($type:ty { $($field:tt),+ $(,)? }) => {
        impl $crate::Canonical for $type {
            const SIZE_MIN: usize = 0 $(+ $crate::size_min_of(|value: &Self| &value.$field))+;

            fn encode<S: $crate::Sink>(&self, out: &mut S) {
                // A field that is missing from the list breaks the build here.
                let Self { $($field: _),+ } = self;
                $($crate::Canonical::encode(&self.$field, out);)+
            }

            fn decode(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Ok(Self { $($field: $crate::Canonical::decode(reader)?),+ })
            }
        }
    };
}

/// Implements [`Canonical`] for an enum: one byte of tag, then the variant's fields in the order given. Tags are the
/// format: they are never reused. Every variant and field must be named, or the build fails; two equal tags fail it too.
///
/// ```
/// #[derive(Debug, PartialEq)]
/// enum Shape { Dot, Circle(u8), Box { x: u8, y: u8 } }
/// codec::canonical_enum!(Shape { 0 => Dot, 1 => Circle(radius), 2 => Box { x, y } });
/// assert_eq!(codec::from_bytes(&codec::to_bytes(&Shape::Box { x: 3, y: 4 })), Ok(Shape::Box { x: 3, y: 4 }));
/// ```
#[macro_export]
macro_rules! canonical_enum {
    ($type:ty { $(
        $tag:literal => $variant:ident
        $( ( $($item:ident),+ $(,)? ) )?
        $( { $($field:ident),+ $(,)? } )?
    ),+ $(,)? }) => {
        const _: () = assert!($crate::tags_are_distinct(&[$($tag),+]), "a tag names one variant");

        impl $crate::Canonical for $type {
            const SIZE_MIN: usize = 1;

            fn encode<S: $crate::Sink>(&self, out: &mut S) {
                match self {
                    $(Self::$variant $( ( $($item),+ ) )? $( { $($field),+ } )? => {
                        $crate::Sink::leaf(out, &[$tag], $crate::Leaf::Tag);
                        $( $($crate::Canonical::encode($item, out);)+ )?
                        $( $($crate::Canonical::encode($field, out);)+ )?
                    })+
                }
            }

            fn decode(reader: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let offset = reader.offset();
                match reader.tag()? {
                    $($tag => {
                        $( $(let $item = $crate::Canonical::decode(reader)?;)+ )?
                        $( $(let $field = $crate::Canonical::decode(reader)?;)+ )?
                        Ok(Self::$variant $( ( $($item),+ ) )? $( { $($field),+ } )?)
                    })+
                    found => {
                        let expected = $crate::Expected::Tag { of: stringify!($type), found };
                        Err($crate::DecodeError { offset, expected })
                    }
                }
            }
        }
    };
}

/// The least size of the field that `_field` leads to.
#[doc(hidden)]
#[must_use]
pub const fn size_min_of<T, F: Canonical>(_field: fn(&T) -> &F) -> usize {
    F::SIZE_MIN
}

#[doc(hidden)]
#[must_use]
pub const fn tags_are_distinct(tags: &[u8]) -> bool {
    let mut rest = tags;
    while let [tag, others @ ..] = rest {
        let mut later = others;
        while let [other, more @ ..] = later {
            if *tag == *other {
                return false;
            }
            later = more;
        }
        rest = others;
    }
    true
}
