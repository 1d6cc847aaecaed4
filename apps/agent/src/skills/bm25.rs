//! Ranking texts by the words of a query: Okapi BM25.

use std::collections::HashMap;

/// How soon more of the same word in a text counts less.
const K1: f64 = 1.2;

/// How much the length of a text matters, 0..=1.
const B: f64 = 0.75;

/// The texts, ready to be ranked.
#[derive(Debug, Default)]
pub(super) struct Bm25 {
    /// Of each text, how often it contains which word.
    texts: Vec<HashMap<String, u32>>,
    lengths: Vec<u32>,
    /// In how many texts a word is.
    containing: HashMap<String, u32>,
}

impl Bm25 {
    /// Takes the texts in; each is named by its place.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut index = Self::default();
        for text in texts {
            let mut counts = HashMap::new();
            let mut length = 0;
            for word in words(text) {
                *counts.entry(word).or_insert(0) += 1;
                length += 1;
            }
            for word in counts.keys() {
                *index.containing.entry(word.clone()).or_insert(0) += 1;
            }
            index.texts.push(counts);
            index.lengths.push(length);
        }
        index
    }

    /// The texts that share a word with `query`, with their scores, the best first.
    pub(super) fn search(&self, query: &str, limit: usize) -> Vec<(usize, f64)> {
        let total: u32 = self.lengths.iter().sum();
        let average = f64::from(total) / self.texts.len().max(1) as f64;
        let query: Vec<String> = words(query).collect();
        let mut ranked: Vec<(usize, f64)> = (0..self.texts.len())
            .map(|place| (place, self.score(place, &query, average)))
            .filter(|(_, score)| *score > 0.0)
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.truncate(limit);
        ranked
    }

    fn score(&self, place: usize, query: &[String], average: f64) -> f64 {
        let length = f64::from(self.lengths[place]) / average;
        query
            .iter()
            .filter_map(|word| {
                let count = f64::from(*self.texts[place].get(word)?);
                let frequency = count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length));
                Some(self.rarity(word) * frequency)
            })
            .sum()
    }

    /// The inverse document frequency, in the form that is never negative.
    fn rarity(&self, word: &str) -> f64 {
        let containing = f64::from(self.containing.get(word).copied().unwrap_or(0));
        let texts = self.texts.len() as f64;
        ((texts - containing + 0.5) / (containing + 0.5)).ln_1p()
    }
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] = [
        "the cat sat on the mat",
        "the dog chased the cat up the tree",
        "a treatise on the breeding of a dog",
        "cat cat cat",
    ];

    #[test]
    fn the_best_comes_first_and_others_are_not_there() {
        let index = Bm25::new(TEXTS);
        let places = |query: &str| -> Vec<usize> {
            index
                .search(query, 9)
                .iter()
                .map(|(place, _)| *place)
                .collect()
        };
        assert_eq!(places("cat"), [3, 0, 1], "often and short counts more");
        assert_eq!(places("Treatise?"), [2]);
        assert_eq!(places("dog tree"), [1, 2], "both words count more than one");
        assert_eq!(places("horse"), [0_usize; 0]);
        assert_eq!(index.search("cat", 1).len(), 1);
        assert!(Bm25::new([]).search("cat", 1).is_empty());
    }

    #[test]
    fn the_score_is_that_of_the_formula() {
        let index = Bm25::new(["a b", "b c"]);
        // One text of two contains `a`, once, and both are of average length.
        let expected = (1.0_f64 + 1.5 / 1.5).ln() * (1.0 * 2.2) / (1.0 + 1.2);
        assert!((index.search("a", 1)[0].1 - expected).abs() < 1e-12);
    }
}
