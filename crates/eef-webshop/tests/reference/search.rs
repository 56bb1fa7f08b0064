//! The analyzer and the search.

use eef_webshop::analyze;
use eef_webshop::raw::Prices;
use serde::Deserialize;

#[derive(Deserialize)]
struct DocumentTokens {
    id: String,
    tokens: Vec<String>,
}

#[test]
fn documents_have_the_originals_words() {
    let Some(catalog) = super::catalog(&Prices::new()) else {
        return;
    };
    let documents: Vec<DocumentTokens> =
        super::lines("data/webshop/doc_tokens_1000.jsonl").unwrap();
    let mut n_different = 0;
    for document in &documents {
        let product = catalog.get(&document.id).unwrap();
        let found = analyze(&eef_webshop::indexed_text(&product));
        if found != document.tokens {
            n_different += 1;
            let place = found.iter().zip(&document.tokens).position(|(a, b)| a != b);
            let near = |tokens: &[String]| {
                let start = place.unwrap_or(0).saturating_sub(2);
                tokens.iter().skip(start).take(6).cloned().collect::<Vec<_>>()
            };
            let (ours, theirs) = (near(&found), near(&document.tokens));
            eprintln!("{}: {ours:?} instead of {theirs:?}", document.id);
        }
    }
    eprintln!("documents with other words: {n_different} of {}", documents.len());
    assert_eq!(n_different, 0);
}
