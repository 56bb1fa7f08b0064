//! Colour names in option values.

/// The names that the original knows, in its order, which decides where several occur.
#[rustfmt::skip] // a name a line would fill two screens
const COLORS: [&str; 102] = [
    "alabaster", "apricot", "aqua", "ash", "asphalt", "azure", "banana", "beige", "black", "blue",
    "blush", "bordeaux", "bronze", "brown", "burgundy", "camel", "camo", "caramel", "champagne",
    "charcoal", "cheetah", "chestnut", "chocolate", "christmas", "coffee", "cognac", "copper",
    "coral", "cranberry", "cream", "crystal", "dark", "denim", "eggplant", "elephant", "espresso",
    "fuchsia", "gold", "granite", "grape", "graphite", "grass", "gray", "green", "grey", "heather",
    "indigo", "ivory", "ivy", "khaki", "lavender", "lemon", "leopard", "light", "lilac", "lime",
    "magenta", "maroon", "mauve", "merlot", "midnight", "mint", "mocha", "multicolor", "mushroom",
    "mustard", "natural", "navy", "nude", "olive", "orange", "peach", "pewter", "pink", "plum",
    "purple", "rainbow", "red", "rose", "royal", "rust", "sand", "sapphire", "seashell", "silver",
    "skull", "slate", "steel", "stone", "stonewash", "sunflower", "tan", "taupe", "teal", "tiger",
    "turquoise", "violet", "walnut", "wheat", "white", "wine", "yellow",
];

/// The first known colour that occurs in a value, even inside a word ("tan" in "stand"); the value
/// itself where none does.
///
/// ```
/// assert_eq!(eef_webshop::normalize_color("dark blue"), "blue");
/// assert_eq!(eef_webshop::normalize_color("size 9"), "size 9");
/// ```
pub fn normalize_color(value: &str) -> &str {
    COLORS.into_iter().find(|color| value.contains(color)).unwrap_or(value)
}

/// The known colour that is exactly one of a pair's texts.
pub(super) fn color_among(texts: [&str; 2]) -> Option<&'static str> {
    COLORS.into_iter().find(|color| texts.contains(color))
}
