//! Languages of the pages: one catalogue, one file a language in `locales/`, in the Fluent format.
//!
//! What officers and voters write is never translated; it stands in the pages with `dir="auto"`.

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::types::{FluentNumber, FluentNumberOptions};
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use hyper::HeaderMap;
use hyper::header::ACCEPT_LANGUAGE;
use std::borrow::Cow;
use std::sync::LazyLock;
use unic_langid::LanguageIdentifier;

/// A language that the pages speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    German,
    French,
    Arabic,
}

impl Language {
    pub const ALL: [Language; 4] = [Language::English, Language::German, Language::French, Language::Arabic];

    /// As in `lang` attributes (BCP 47).
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::German => "de",
            Language::French => "fr",
            Language::Arabic => "ar",
        }
    }

    /// What its speakers call it.
    pub fn name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::German => "Deutsch",
            Language::French => "Français",
            Language::Arabic => "العربية",
        }
    }

    /// As in `dir` attributes.
    pub fn direction(self) -> &'static str {
        if self == Language::Arabic { "rtl" } else { "ltr" }
    }

    pub fn from_code(code: &str) -> Option<Language> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The best of ours for `Accept-Language` (RFC 9110, section 12.5.4); English if none fits.
    pub fn accepted(headers: &HeaderMap) -> Language {
        let lines = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        let mut ranges: Vec<(u32, &str)> = lines.flat_map(|line| line.split(',')).map(weighted).collect();
        ranges.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let known = |(weight, range): &(u32, &str)| {
            let primary = range.split('-').next().unwrap_or_default().to_ascii_lowercase();
            Self::from_code(&primary).filter(|_| *weight > 0)
        };
        ranges.iter().find_map(known).unwrap_or(Language::English)
    }

    /// Digits in groups: `12,345`, `12.345`, `12 345`. Digits stay Latin, so that codes and counts look alike.
    pub fn number(self, number: u64) -> String {
        let separator = match self {
            Language::English | Language::Arabic => ',',
            Language::German => '.',
            Language::French => '\u{202f}',
        };
        let digits = number.to_string();
        let mut text = String::with_capacity(digits.len() * 2);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(separator);
            }
            text.push(digit);
        }
        text
    }

    /// What stands between whole numbers and tenths.
    pub fn decimal_mark(self) -> char {
        match self {
            Language::English | Language::Arabic => '.',
            Language::German | Language::French => ',',
        }
    }

    /// The catalogue's files: what all pages say, and what voters', rooms', officers' and the cluster's pages say.
    fn sources(self) -> [&'static str; 5] {
        macro_rules! files {
            ($code:literal) => {
                [
                    include_str!(concat!("../locales/", $code, "/common.ftl")),
                    include_str!(concat!("../locales/", $code, "/voter.ftl")),
                    include_str!(concat!("../locales/", $code, "/room.ftl")),
                    include_str!(concat!("../locales/", $code, "/officer.ftl")),
                    include_str!(concat!("../locales/", $code, "/cluster.ftl")),
                ]
            };
        }
        match self {
            Language::English => files!("en"),
            Language::German => files!("de"),
            Language::French => files!("fr"),
            Language::Arabic => files!("ar"),
        }
    }

    /// A number for the library: it chooses the plural by a float, and prints the text that goes along.
    ///
    /// Its rules for Arabic few and many look at the number, where CLDR's look at its last two digits.
    fn countable(self, number: u64) -> FluentNumber {
        let chooses = match (self, number % 100) {
            (Language::Arabic, last @ 3..=99) => last,
            (Language::Arabic, _) if number >= 100 => 100,
            _ => number,
        };
        let options = FluentNumberOptions { currency: Some(self.number(number)), ..Default::default() };
        FluentNumber::new(chooses as f64, options)
    }

    fn bundle(self) -> FluentBundle<FluentResource> {
        let language: LanguageIdentifier = self.code().parse().expect("our own codes are well-formed");
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        // Left-to-right pages need no isolation marks around names: `dir="auto"` elements carry those.
        bundle.set_use_isolating(self.direction() == "rtl");
        bundle.set_formatter(Some(|value, _| match value {
            FluentValue::Number(number) => number.options.currency.clone(),
            _ => None,
        }));
        for source in self.sources() {
            let resource = FluentResource::try_new(source.to_owned());
            let resource = resource.unwrap_or_else(|(_, errors)| panic!("{}: {errors:?}", self.code()));
            bundle.add_resource(resource).unwrap_or_else(|errors| panic!("{}: {errors:?}", self.code()));
        }
        bundle
    }
}

/// A language range and its quality in thousandths; 1 where none is given.
fn weighted(item: &str) -> (u32, &str) {
    let (range, parameters) = item.split_once(';').unwrap_or((item, ""));
    let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |text| text.parse::<f32>().ok());
    ((quality.unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u32, range.trim())
}

static CATALOGUE: LazyLock<[FluentBundle<FluentResource>; 4]> =
    LazyLock::new(|| Language::ALL.map(Language::bundle));

/// Something to put into a sentence.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// Chooses the plural and is grouped.
    Number(u64),
    Text(Cow<'a, str>),
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Number(number)
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Value::Number(number as u64)
    }
}

impl From<&usize> for Value<'_> {
    fn from(number: &usize) -> Self {
        Value::Number(*number as u64)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

/// As templates hand a text over.
impl<'a> From<&&'a str> for Value<'a> {
    fn from(text: &&'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

/// The pages' own sentences in one language. Cost: a look-up in a hash table, and a string where there are values.
#[derive(Clone, Copy, Debug)]
pub struct Texts(pub Language);

impl Texts {
    /// The sentence called `id`. A test holds every language to have every one that is asked for.
    pub fn say(&self, id: &str) -> Cow<'static, str> {
        self.format(id, None)
    }

    /// The sentence called `id` with one value in it.
    pub fn with<'v>(&self, id: &str, name: &'static str, value: impl Into<Value<'v>>) -> String {
        self.fill(id, [(name, value.into())])
    }

    /// The sentence called `id` with several values in it.
    pub fn fill<'v, const N: usize>(&self, id: &str, values: [(&'static str, Value<'v>); N]) -> String {
        let mut args = FluentArgs::with_capacity(N);
        for (name, value) in values {
            match value {
                Value::Number(number) => args.set(name, FluentValue::Number(self.0.countable(number))),
                Value::Text(text) => args.set(name, text),
            }
        }
        self.format(id, Some(&args)).into_owned()
    }

    /// A sentence around the number `n` for each of the language's plurals, as JSON, `{n}` standing for the number:
    /// what the script needs to say it again with a number that came in later.
    pub fn plurals(&self, id: &str) -> String {
        self.plurals_around(id, |_, sample| self.with(id, "n", sample))
    }

    /// As [`Texts::plurals`], of a sentence with one more number that stays, `name`.
    pub fn plurals_of(&self, id: &str, name: &'static str, number: u64) -> String {
        // A text stands for the number meanwhile, so that a sample is not taken for it.
        const PLACE: &str = "\u{1}";
        let say = |id: &str, sample: u64| self.fill(id, [("n", sample.into()), (name, PLACE.into())]);
        self.plurals_around(id, say).replace("\\u0001", &self.number(&number))
    }

    /// As [`Texts::plurals`], of whatever `say` makes of `id` and a sample. A sample is taken for the number wherever
    /// it stands.
    pub fn plurals_around(&self, id: &str, say: impl Fn(&str, u64) -> String) -> String {
        let samples: &[(&str, u64)] = match self.0 {
            Language::English | Language::German => &[("one", 1), ("other", 7007)],
            Language::French => &[("one", 1), ("many", 1_000_000), ("other", 7007)],
            Language::Arabic => {
                &[("zero", 0), ("one", 1), ("two", 2), ("few", 3), ("many", 11), ("other", 7000)]
            }
        };
        let texts = samples.iter().map(|(plural, sample)| {
            let text = say(id, *sample).replace(&self.0.number(*sample), "{n}");
            (*plural, serde_json::Value::String(text))
        });
        serde_json::to_string(&texts.collect::<std::collections::BTreeMap<_, _>>())
            .expect("texts always serialise")
    }

    /// A number, grouped.
    pub fn number(&self, number: &u64) -> String {
        self.0.number(*number)
    }

    fn format(&self, id: &str, args: Option<&FluentArgs<'_>>) -> Cow<'static, str> {
        let bundle = &CATALOGUE[self.0 as usize];
        let Some(pattern) = bundle.get_message(id).and_then(|message| message.value()) else {
            debug_assert!(false, "no sentence is called `{id}`");
            return Cow::Owned(id.to_owned());
        };
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, args, &mut errors);
        debug_assert!(errors.is_empty(), "`{id}`: {errors:?}");
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(text),
            Cow::Owned(text) => Cow::Owned(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn accepted(line: &str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, line.parse().unwrap());
        Language::accepted(&headers)
    }

    #[test]
    fn the_browsers_first_language_that_is_ours_is_taken() {
        assert_eq!(accepted("de-AT,de;q=0.9,en;q=0.8"), Language::German);
        assert_eq!(accepted("pl, en;q=0.5, ar-EG;q=0.9"), Language::Arabic);
        assert_eq!(accepted("fr;q=0, pl"), Language::English);
        assert_eq!(accepted(";;,=,q"), Language::English);
        assert_eq!(Language::accepted(&HeaderMap::new()), Language::English);
    }

    #[test]
    fn numbers_choose_their_plural_and_are_grouped() {
        let voted = |language: Language, number: u64| Texts(language).with("voted", "n", number);
        assert_eq!(voted(Language::English, 1), "1 person has voted");
        assert_eq!(voted(Language::English, 12_345), "12,345 people have voted");
        assert_eq!(voted(Language::German, 12_345), "12.345 Personen haben abgestimmt");
        let arabic: BTreeSet<String> = [0, 1, 2, 3, 11, 100]
            .map(|number| voted(Language::Arabic, number).replace(char::is_numeric, ""))
            .into();
        assert!(arabic.len() >= 4, "Arabic tells none, one, two, few and many apart: {arabic:?}");
        let bare = |number| voted(Language::Arabic, number).replace(|c: char| c.is_numeric() || c == ',', "");
        for (one, another) in [(3, 1_103), (11, 99), (11, 12_345), (100, 7_000), (100, 202)] {
            assert_eq!(bare(one), bare(another), "{one} and {another} have one plural");
        }
        assert!(
            voted(Language::English, u64::MAX).starts_with("18,446,744,073,709,551,615 "),
            "no float is shown"
        );
        let forms: BTreeMap<String, String> =
            serde_json::from_str(&Texts(Language::Arabic).plurals("screen-connected")).unwrap();
        assert_eq!(forms.values().collect::<BTreeSet<_>>().len(), 6, "so does the script: {forms:?}");
    }

    /// Ids with the names of their values, as the file says them.
    fn messages(language: Language) -> BTreeMap<String, BTreeSet<String>> {
        let mut messages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut id = String::new();
        for line in language.sources().concat().lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, _)) =
                line.split_once(" =").filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase()))
            {
                id = name.to_owned();
                assert!(
                    messages.insert(id.clone(), BTreeSet::new()).is_none(),
                    "{}: `{id}` twice",
                    language.code()
                );
            }
            for part in line.split('$').skip(1) {
                let name = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
                messages.get_mut(&id).unwrap().insert(name);
            }
        }
        messages
    }

    #[test]
    fn every_language_says_everything_with_the_same_values() {
        let english = messages(Language::English);
        for language in Language::ALL {
            let theirs = messages(language);
            let missing: Vec<_> = english.keys().filter(|id| !theirs.contains_key(*id)).collect();
            let spare: Vec<_> = theirs.keys().filter(|id| !english.contains_key(*id)).collect();
            assert!(missing.is_empty() && spare.is_empty(), "{}: {missing:?} {spare:?}", language.code());
            for (id, values) in &theirs {
                assert!(values.is_subset(&english[id]), "{}: `{id}` has other values", language.code());
            }
        }
    }

    /// What is asked for in templates and code, as literals in double quotes.
    fn asked() -> String {
        let mut text = String::new();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![root.join("src"), root.join("templates")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => text += &std::fs::read_to_string(path).unwrap(),
                }
            }
        }
        text
    }

    #[test]
    fn every_sentence_is_used_and_every_used_one_exists() {
        let (asked, english) = (asked(), messages(Language::English));
        for id in english.keys() {
            assert!(asked.contains(&format!("\"{id}\"")), "`{id}` is used nowhere");
        }
        for call in [".say(\"", ".with(\"", ".fill(\"", ".plurals(\""] {
            for found in asked.split(call).skip(1) {
                let id = found.split('"').next().unwrap();
                let is_id = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                assert!(!is_id || english.contains_key(id), "`{id}` is not in the catalogue");
            }
        }
    }
}
