//! The macros on types of another crate, as the kernel uses them on its own.

use codec::{DecodeError, Expected, Leaf, canonical_enum, canonical_struct, from_bytes, layout, to_bytes};

#[derive(Debug, PartialEq)]
struct Lots(i16);

#[derive(Debug, PartialEq)]
enum Shape {
    Dot,
    Circle(u8, Lots),
    Box { x: u8, y: u8 },
}

#[derive(Debug, PartialEq)]
struct Drawing {
    visible: bool,
    shapes: Vec<Shape>,
    key: [u8; 4],
}

canonical_struct!(Lots { 0 });
canonical_enum!(Shape { 0 => Dot, 7 => Circle(radius, lots), 2 => Box { x, y } });
canonical_struct!(Drawing { visible, shapes, key });

fn drawing() -> Drawing {
    let shapes = vec![Shape::Dot, Shape::Circle(3, Lots(-2)), Shape::Box { x: 4, y: 5 }];
    Drawing { visible: true, shapes, key: *b"seed" }
}

#[test]
fn fields_stand_in_the_order_given() {
    let bytes = to_bytes(&drawing());
    assert_eq!(&bytes[6..], b"\x01\x03\0\0\0\x00\x07\x03\xfe\xff\x02\x04\x05seed");
    assert_eq!(from_bytes(&bytes), Ok(drawing()));
}

#[test]
fn an_unknown_tag_is_refused_at_its_place() {
    let mut bytes = to_bytes(&drawing());
    bytes[12] = 1;
    let expected = Expected::Tag { of: "Shape", found: 1 };
    assert_eq!(from_bytes::<Drawing>(&bytes), Err(DecodeError { offset: 12, expected }));
}

#[test]
fn the_layout_names_every_leaf() {
    let int = |signed| Leaf::Int { signed };
    let kinds: Vec<_> = layout(&drawing()).iter().map(|leaf| (leaf.offset, leaf.len, leaf.kind)).collect();
    let expected = [
        (0, 4, Leaf::Bytes),
        (4, 2, int(false)),
        (6, 1, Leaf::Bool),
        (7, 4, Leaf::Length),
        (11, 1, Leaf::Tag),
        (12, 1, Leaf::Tag),
        (13, 1, int(false)),
        (14, 2, int(true)),
        (16, 1, Leaf::Tag),
        (17, 1, int(false)),
        (18, 1, int(false)),
        (19, 4, Leaf::Bytes),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn tags_that_are_not_distinct_are_noticed() {
    assert!(codec::tags_are_distinct(&[0, 7, 2, 255]));
    assert!(!codec::tags_are_distinct(&[0, 7, 2, 7]));
    assert!(!codec::tags_are_distinct(&[255, 255]));
}
