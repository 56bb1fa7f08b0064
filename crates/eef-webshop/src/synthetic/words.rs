//! The words that synthetic products are made of.
//!
//! Few words, each an ordinary English one: a small tokenizer then holds every word as one token,
//! and a small model can learn to read them.

/// A kind of product and the words that go with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Category {
    /// What the product is called; also its search query in the raw records.
    pub noun: &'static str,
    /// The raw record's `category`.
    pub department: &'static str,
    /// The raw record's `product_category`.
    pub path: &'static str,
    /// What it may be made of.
    pub materials: [&'static str; 3],
    /// How it may look.
    pub styles: [&'static str; 4],
    /// The colours it is sold in.
    pub colours: [&'static str; 5],
    /// Whether it comes in sizes.
    pub sized: bool,
}

/// Every category.
pub(crate) const CATEGORIES: [Category; 10] = [
    Category {
        noun: "lamp",
        department: "garden",
        path: "Home & Kitchen › Lighting › Lamps",
        materials: ["wood", "steel", "glass"],
        styles: ["modern", "rustic", "vintage", "classic"],
        colours: ["black", "white", "blue", "green", "red"],
        sized: false,
    },
    Category {
        noun: "chair",
        department: "garden",
        path: "Home & Kitchen › Furniture › Chairs",
        materials: ["wood", "velvet", "leather"],
        styles: ["modern", "rustic", "vintage", "compact"],
        colours: ["black", "white", "green", "pink", "blue"],
        sized: false,
    },
    Category {
        noun: "shirt",
        department: "fashion",
        path: "Clothing › Tops › Shirts",
        materials: ["cotton", "linen", "wool"],
        styles: ["casual", "classic", "vintage", "modern"],
        colours: ["white", "blue", "red", "black", "green"],
        sized: true,
    },
    Category {
        noun: "mug",
        department: "grocery",
        path: "Dining › Drinkware › Mugs",
        materials: ["ceramic", "glass", "steel"],
        styles: ["classic", "rustic", "modern", "compact"],
        colours: ["red", "blue", "white", "green", "black"],
        sized: false,
    },
    Category {
        noun: "clock",
        department: "electronics",
        path: "Decor › Timepieces › Clocks",
        materials: ["wood", "steel", "glass"],
        styles: ["vintage", "modern", "classic", "compact"],
        colours: ["black", "white", "red", "pink", "green"],
        sized: false,
    },
    Category {
        noun: "rug",
        department: "garden",
        path: "Floors › Textiles › Rugs",
        materials: ["wool", "cotton", "jute"],
        styles: ["rustic", "modern", "vintage", "casual"],
        colours: ["blue", "green", "red", "white", "pink"],
        sized: false,
    },
    Category {
        noun: "bag",
        department: "fashion",
        path: "Luggage › Carriers › Bags",
        materials: ["leather", "canvas", "cotton"],
        styles: ["casual", "vintage", "compact", "classic"],
        colours: ["black", "pink", "blue", "red", "white"],
        sized: false,
    },
    Category {
        noun: "jacket",
        department: "fashion",
        path: "Outdoor › Outerwear › Jackets",
        materials: ["leather", "wool", "canvas"],
        styles: ["casual", "classic", "modern", "vintage"],
        colours: ["black", "green", "blue", "pink", "red"],
        sized: true,
    },
    Category {
        noun: "vase",
        department: "garden",
        path: "Accents › Floral › Vases",
        materials: ["ceramic", "glass", "wood"],
        styles: ["classic", "modern", "rustic", "vintage"],
        colours: ["white", "green", "blue", "pink", "black"],
        sized: false,
    },
    Category {
        noun: "desk",
        department: "electronics",
        path: "Office › Workplace › Desks",
        materials: ["wood", "steel", "bamboo"],
        styles: ["modern", "compact", "rustic", "classic"],
        colours: ["black", "white", "red", "green", "blue"],
        sized: false,
    },
];

/// Makers; each is one word and no other word of a title.
pub(crate) const BRANDS: [&str; 40] = [
    "Norvik", "Halden", "Oakley", "Brightly", "Casara", "Delmont", "Everly", "Fernway", "Galeo",
    "Hartwell", "Ivona", "Jasper", "Kestrel", "Lumina", "Marlow", "Nestra", "Orbell", "Pinnacle",
    "Quarry", "Rowan", "Solano", "Tamsin", "Umbra", "Verano", "Willow", "Xandra", "Yarrow",
    "Zenith", "Alder", "Birchly", "Corvo", "Dunmore", "Elmira", "Foxglove", "Granger", "Hollis",
    "Inkwell", "Juniper", "Kindred", "Larkin",
];

/// What some titles say on top: two words each, so that such a product ranks below its peers.
pub(crate) const EXTRAS: [&str; 6] =
    ["gift box", "value pack", "new edition", "easy care", "family choice", "starter kit"];

/// Sizes of what comes in sizes.
pub(crate) const SIZES: [&str; 3] = ["small", "medium", "large"];

/// Prices in cents: from 9.99 to 94.99 dollars in steps of five.
pub(crate) const PRICE_POINTS: [u32; 18] = {
    let mut points = [0; 18];
    let mut i = 0;
    while i < points.len() {
        points[i] = 999 + 500 * i as u32;
        i += 1;
    }
    points
};

/// The number of codes in each half of a product number.
pub(crate) const N_CODES: usize = 40;

/// The four-character codes that product numbers are put together from: `B0` and one of each half.
///
/// A tokenizer that splits there needs three tokens for a product number, whichever it is. Codes
/// have a digit first and no vowels, so that none looks like a word.
pub(crate) fn codes() -> [Vec<String>; 2] {
    const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
    const DIGITS: &[u8] = b"23456789";
    // Fixed for ever: another catalogue seed shuffles the pairs, never the codes, because the
    // tokenizer knows them.
    let mut rng = eef_core::Seed::new(0).derive("codes of product numbers", 1).rng();
    let mut code = || {
        let mut text = String::with_capacity(4);
        for alphabet in [DIGITS, LETTERS, LETTERS, DIGITS] {
            text.push(char::from(alphabet[rng.below(alphabet.len())]));
        }
        text
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut half = || {
        let mut half = Vec::with_capacity(N_CODES);
        while half.len() < N_CODES {
            let code = code();
            if seen.insert(code.clone()) {
                half.push(code);
            }
        }
        half
    };
    [half(), half()]
}
