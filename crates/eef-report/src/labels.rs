//! Where the names of points go, so that none covers another.

/// A rectangle of pixels: left, top, right, bottom.
type Rectangle = [i32; 4];

/// Pixels from a point to its name, and from line to line.
const GAP: i32 = 8;
const LINE: i32 = 15;

/// How far up and down a name may go, in lines.
const LINES: i32 = 12;

/// The left end and the middle of each name's line, in pixels, in the order of `points`: beside its
/// point, else below or above as little as will do, and to the left of its point where there is no room
/// to the right. No name covers another or a point, and all lie within `area`; where that cannot be, a
/// name stands right beside its point.
///
/// `points` are those to be named with the width of each name, in pixels.
pub fn places(points: &[((i32, i32), i32)], area: Rectangle) -> Vec<(i32, i32)> {
    let mut taken: Vec<Rectangle> =
        points.iter().map(|&((x, y), _)| [x - 4, y - 4, x + 4, y + 4]).collect();
    // From the top, and down before up, so that names stand in the order of their points.
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|&index| (points[index].0.1, points[index].0.0, index));
    let mut found = vec![(0, 0); points.len()];
    for index in order {
        let ((x, y), width) = points[index];
        let beside = [x + GAP, x - GAP - width];
        let lines = || (0..=LINES).flat_map(|n| [n * LINE, -n * LINE]);
        let mut candidates =
            beside.into_iter().flat_map(|left| lines().map(move |down| (left, y + down)));
        let free = |&(left, middle): &(i32, i32)| {
            let name = around(left, middle, width);
            within(name, area) && !taken.iter().any(|&other| overlap(name, other))
        };
        let place = candidates.find(free).unwrap_or((beside[0], y));
        taken.push(around(place.0, place.1, width));
        found[index] = place;
    }
    found
}

fn around(left: i32, middle: i32, width: i32) -> Rectangle {
    [left, middle - LINE / 2, left + width, middle + LINE / 2]
}

fn within(inner: Rectangle, outer: Rectangle) -> bool {
    inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3]
}

fn overlap(a: Rectangle, b: Rectangle) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Rectangle = [0, 0, 800, 400];

    fn names(points: &[((i32, i32), i32)]) -> Vec<Rectangle> {
        let places = places(points, AREA);
        places.iter().zip(points).map(|(&(x, y), &(_, width))| around(x, y, width)).collect()
    }

    #[test]
    fn a_lonely_name_stands_beside_its_point() {
        assert_eq!(places(&[((100, 200), 60)], AREA), [(108, 200)]);
        assert_eq!(places(&[((780, 200), 60)], AREA), [(712, 200)], "to the left at the border");
    }

    #[test]
    fn no_name_covers_another_or_a_point() {
        let points: Vec<_> = (0..17).map(|n| ((190 + n % 3, 180 + 2 * n), 40 + 9 * n)).collect();
        let names = names(&points);
        for (index, &name) in names.iter().enumerate() {
            assert!(within(name, AREA), "{name:?}");
            assert!(names[..index].iter().all(|&other| !overlap(name, other)), "{name:?}");
            for &((x, y), _) in &points {
                assert!(!overlap(name, [x - 4, y - 4, x + 4, y + 4]), "{name:?} covers a point");
            }
        }
    }

    #[test]
    fn where_nothing_is_free_a_name_stands_beside_its_point() {
        assert_eq!(places(&[((100, 200), 900)], AREA), [(108, 200)]);
    }
}
