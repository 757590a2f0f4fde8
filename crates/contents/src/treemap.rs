//! Divides a rectangle into boxes of given areas.
//!
//! The boxes are as close to squares as possible while they stay in order ("Squarified Treemaps",
//! Bruls, Huizing and van Wijk, 2000).

/// A rectangle, in the units of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rectangle {
    /// The left edge.
    pub(crate) x: f64,
    /// The upper edge.
    pub(crate) y: f64,
    /// The width.
    pub(crate) width: f64,
    /// The height.
    pub(crate) height: f64,
}

impl Rectangle {
    fn area(&self) -> f64 {
        self.width * self.height
    }

    /// Shrinks the rectangle by a margin on each side.
    pub(crate) fn inset(self, margin: f64) -> Self {
        Self {
            x: self.x + margin,
            y: self.y + margin,
            width: (self.width - 2.0 * margin).max(0.0),
            height: (self.height - 2.0 * margin).max(0.0),
        }
    }
}

/// Divides `whole` in proportion to `weights`, which should be in descending order. A zero weight
/// gets an empty box.
#[expect(clippy::cast_precision_loss, reason = "a picture has far fewer pixels than bytes")]
pub(crate) fn divide(weights: &[u64], whole: Rectangle) -> Vec<Rectangle> {
    let sum: f64 = weights.iter().map(|&weight| weight as f64).sum();
    let scale = if sum > 0.0 { whole.area() / sum } else { 0.0 };
    let areas: Vec<f64> = weights.iter().map(|&weight| weight as f64 * scale).collect();
    let mut boxes = Vec::with_capacity(areas.len());
    let (mut rest, mut start) = (whole, 0);
    while start < areas.len() {
        let side = rest.width.min(rest.height);
        let mut end = start + 1;
        // The row grows as long as that improves its worst box.
        while end < areas.len()
            && worst(&areas[start..=end], side) <= worst(&areas[start..end], side)
        {
            end += 1;
        }
        rest = place_row(&areas[start..end], rest, &mut boxes);
        start = end;
    }
    boxes
}

/// How far the worst box of a row is from a square: the ratio of its sides, at least 1.
fn worst(areas: &[f64], side: f64) -> f64 {
    let sum: f64 = areas.iter().sum();
    let thickness = sum / side;
    let ratio = |&area: &f64| {
        let length = area / thickness;
        (length / thickness).max(thickness / length)
    };
    // Without room, all rows are equally good; NaN would end the row.
    areas.iter().map(ratio).fold(1.0, |worst, ratio| if ratio > worst { ratio } else { worst })
}

/// Places a row along the shorter side, and returns the rest of the rectangle.
fn place_row(areas: &[f64], within: Rectangle, boxes: &mut Vec<Rectangle>) -> Rectangle {
    let sum: f64 = areas.iter().sum();
    let is_column = within.width >= within.height;
    let side = if is_column { within.height } else { within.width };
    let thickness = if side > 0.0 { sum / side } else { 0.0 };
    let mut at = 0.0;
    for area in areas {
        let length = if thickness > 0.0 { area / thickness } else { 0.0 };
        boxes.push(if is_column {
            Rectangle { x: within.x, y: within.y + at, width: thickness, height: length }
        } else {
            Rectangle { x: within.x + at, y: within.y, width: length, height: thickness }
        });
        at += length;
    }
    if is_column {
        let width = (within.width - thickness).max(0.0);
        Rectangle { x: within.x + thickness, width, ..within }
    } else {
        let height = (within.height - thickness).max(0.0);
        Rectangle { y: within.y + thickness, height, ..within }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: Rectangle = Rectangle { x: 10.0, y: 20.0, width: 800.0, height: 600.0 };

    #[test]
    fn four_equal_weights_are_four_quarters() {
        let boxes = divide(&[1; 4], WHOLE);
        for quarter in &boxes {
            assert!((quarter.width - 400.0).abs() < 1e-9, "{quarter:?}");
            assert!((quarter.height - 300.0).abs() < 1e-9, "{quarter:?}");
        }
    }

    proptest! {
        #[test]
        fn boxes_have_their_areas_and_do_not_overlap(
            mut weights in prop::collection::vec(0_u64..1_000_000, 0..40),
        ) {
            weights.sort_unstable_by(|a, b| b.cmp(a));
            let boxes = divide(&weights, WHOLE);
            prop_assert_eq!(boxes.len(), weights.len());
            let sum: u64 = weights.iter().sum();
            for (box_, weight) in boxes.iter().zip(&weights) {
                if sum > 0 {
                    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                    let expected = WHOLE.area() * (*weight as f64) / (sum as f64);
                    prop_assert!((box_.area() - expected).abs() < 1e-3);
                }
                prop_assert!(box_.x >= WHOLE.x - 1e-6 && box_.y >= WHOLE.y - 1e-6);
                prop_assert!(box_.x + box_.width <= WHOLE.x + WHOLE.width + 1e-6);
                prop_assert!(box_.y + box_.height <= WHOLE.y + WHOLE.height + 1e-6);
            }
            for (index, a) in boxes.iter().enumerate() {
                for b in &boxes[index + 1..] {
                    let wide = a.x + a.width <= b.x + 1e-6 || b.x + b.width <= a.x + 1e-6;
                    let high = a.y + a.height <= b.y + 1e-6 || b.y + b.height <= a.y + 1e-6;
                    let empty = a.area() < 1e-9 || b.area() < 1e-9;
                    prop_assert!(wide || high || empty, "{:?} {:?}", a, b);
                }
            }
        }
    }
}
