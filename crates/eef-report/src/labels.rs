//! Where the names of points go, so that none covers another.

/// A rectangle of pixels: left, top, right, bottom.
pub type Rectangle = [i32; 4];

/// Pixels from a point to its name, and from line to line.
const GAP: i32 = 8;
const LINE: i32 = 15;

/// How far up and down a name may go, in lines.
const LINES: i32 = 12;

/// To the left of its point a name stands as well as so many lines away to the right.
const LEFT: i32 = 3;

/// A point with a name.
#[derive(Clone, Copy)]
pub struct Named {
    /// Where it is, in pixels.
    pub point: (i32, i32),
    /// How wide its name is, in pixels.
    pub width: i32,
}

/// The left end and the middle of each name's line, in pixels, in the order of `points`: beside its
/// point, else below or above as little as will do, and to the left of its point where there is
/// little room to the right. No name covers another, a point or one of `lines`, which are given by
/// their ends, and all lie within `area`; where that cannot be, a name stands right beside its point.
pub fn places(points: &[Named], lines: &[[(i32, i32); 2]], area: Rectangle) -> Vec<(i32, i32)> {
    let mut taken: Vec<Rectangle> = (points.iter().map(|named| named.point))
        .chain(lines.iter().flat_map(|&line| dots(line)))
        .map(|(x, y)| [x - 4, y - 4, x + 4, y + 4])
        .collect();
    // From the top, and down before up, so that names stand in the order of their points.
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|&index| (points[index].point.1, points[index].point.0, index));
    let mut found = vec![(0, 0); points.len()];
    for index in order {
        let Named { point: (x, y), width } = points[index];
        let (right, left) = (x + GAP, x - GAP - width);
        let mut candidates = (0..=LINES + LEFT)
            .flat_map(|n| [(right, n), (left, n - LEFT)])
            .filter(|&(_, n)| (0..=LINES).contains(&n))
            .flat_map(|(start, n)| [(start, y + n * LINE), (start, y - n * LINE)]);
        let free = |&(left, middle): &(i32, i32)| {
            let name = around(left, middle, width);
            within(name, area) && !taken.iter().any(|&other| overlap(name, other))
        };
        let place = candidates.find(free).unwrap_or((right, y));
        taken.push(around(place.0, place.1, width));
        found[index] = place;
    }
    found
}

/// Points of a line, close enough together that no name fits between two.
fn dots([(x, y), (other_x, other_y)]: [(i32, i32); 2]) -> impl Iterator<Item = (i32, i32)> {
    let n = ((other_x - x).abs().max((other_y - y).abs()) / 4).max(1);
    (0..=n).map(move |part| (x + (other_x - x) * part / n, y + (other_y - y) * part / n))
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

    fn point(x: i32, y: i32, width: i32) -> Named {
        Named { point: (x, y), width }
    }

    fn check(points: &[Named], lines: &[[(i32, i32); 2]]) {
        let found = places(points, lines, AREA);
        let mut names: Vec<Rectangle> = Vec::new();
        for (&(left, middle), named) in found.iter().zip(points) {
            let name = around(left, middle, named.width);
            assert!(within(name, AREA), "{name:?}");
            assert!(names.iter().all(|&other| !overlap(name, other)), "{name:?}");
            let marks = points.iter().map(|named| named.point);
            for (x, y) in marks.chain(lines.iter().flat_map(|&line| dots(line))) {
                assert!(!overlap(name, [x - 4, y - 4, x + 4, y + 4]), "{name:?} covers a mark");
            }
            names.push(name);
        }
    }

    #[test]
    fn a_lonely_name_stands_beside_its_point() {
        assert_eq!(places(&[point(100, 200, 60)], &[], AREA), [(108, 200)]);
        assert_eq!(places(&[point(780, 200, 60)], &[], AREA), [(712, 200)], "left at the border");
    }

    #[test]
    fn no_name_covers_another_a_point_or_a_line() {
        let crowd: Vec<_> = (0..17).map(|n| point(190 + n % 3, 180 + 2 * n, 40 + 9 * n)).collect();
        check(&crowd, &[]);
        check(&crowd, &[[(190, 180), (400, 300)], [(190, 100), (190, 260)]]);
        let at_the_border: Vec<_> = (0..17).map(|n| point(790, 180 + 2 * n, 40 + 9 * n)).collect();
        check(&at_the_border, &[]);
    }

    #[test]
    fn where_the_right_is_taken_far_up_and_down_a_name_goes_left() {
        let wall = |end: i32| [(112, 200 - end), (112, 200 + end)];
        assert_eq!(places(&[point(100, 200, 60)], &[wall(60)], AREA), [(32, 200)]);
        assert_eq!(places(&[point(100, 200, 60)], &[wall(20)], AREA), [(108, 245)]);
    }

    #[test]
    fn a_name_goes_below_a_level_line_and_above_one_that_falls() {
        let level = [point(100, 200, 60), point(300, 200, 60)];
        let line = [(100, 200), (300, 200)];
        assert_eq!(places(&level, &[line], AREA), [(108, 215), (308, 200)]);
        let falling = [(100, 200), (160, 230)];
        assert_eq!(places(&level[..1], &[falling], AREA), [(108, 185)]);
    }

    #[test]
    fn where_nothing_is_free_a_name_stands_beside_its_point() {
        assert_eq!(places(&[point(100, 200, 900)], &[], AREA), [(108, 200)]);
    }
}
