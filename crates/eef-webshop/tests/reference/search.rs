//! The analyzer and the search.

use eef_webshop::raw::Prices;
use eef_webshop::{SearchIndex, analyze};
use serde::Deserialize;

#[derive(Deserialize)]
struct DocumentTokens {
    id: String,
    tokens: Vec<String>,
}

#[derive(Deserialize)]
struct SearchCase {
    query: String,
    analyzed: Vec<String>,
    asins: Vec<String>,
    scores: Vec<f64>,
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
        let found = analyze(&eef_webshop::indexed_text(product));
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

#[test]
fn searches_find_what_the_original_finds_in_its_order() {
    let Some(catalog) = super::catalog(&Prices::new()) else {
        return;
    };
    let index = SearchIndex::new(&catalog);
    let cases: Vec<SearchCase> = super::lines("reference/webshop/search_cases.jsonl").unwrap();
    let mut n_different = 0;
    for case in &cases {
        assert_eq!(analyze(&case.query), case.analyzed, "{}", case.query);
        let hits = index.search(&case.query);
        let asins: Vec<_> =
            hits.iter().map(|hit| &catalog.products()[hit.product as usize].asin).collect();
        // The recorded scores are rounded to 4 decimals, ties nudged by a millionth each.
        let is_near =
            |(hit, score): (&eef_webshop::Hit, &f64)| (f64::from(hit.score) - score).abs() < 2e-4;
        let same_scores = hits.iter().zip(&case.scores).all(is_near);
        if asins != case.asins.iter().collect::<Vec<_>>() || !same_scores {
            n_different += 1;
            eprintln!("another result for `{}`", case.query);
            let all = hits.iter().zip(&asins).zip(case.asins.iter().zip(&case.scores));
            for ((hit, found), (asin, score)) in all.filter(|((_, f), (a, _))| **f != *a).take(3) {
                eprintln!("   {found} {} instead of {asin} {score}", hit.score);
            }
        }
    }
    eprintln!("searches with another result: {n_different} of {}", cases.len());
    assert_eq!(n_different, 0);
}
