//! Ratios: text, lowest terms, order, and the benign zero.

use proptest::prelude::*;

use super::Ratio;

#[test]
fn text_that_is_a_probability_is_read_in_lowest_terms() {
    let cases = [
        ("0", 0, 1),
        ("1", 1, 1),
        ("1/100", 1, 100),
        ("2/200", 1, 100),
        (" 1 / 2 ", 1, 2),
        ("0/7", 0, 1),
        ("7/7", 1, 1),
        ("4294967295/4294967295", 1, 1),
        ("1/4294967295", 1, 4_294_967_295),
    ];
    for (text, numerator, denominator) in cases {
        let ratio: Ratio = text.parse().unwrap();
        assert_eq!((ratio.numerator(), ratio.denominator()), (numerator, denominator), "{text}");
    }
}

#[test]
fn text_that_is_not_a_probability_is_refused_with_a_reason_and_an_example() {
    let cases = [
        ("", "not made of whole numbers"),
        ("0.1", "not made of whole numbers"),
        ("10%", "not made of whole numbers"),
        ("-1/2", "not made of whole numbers"),
        ("+1/2", "not made of whole numbers"),
        ("1/2/3", "not made of whole numbers"),
        ("1/", "not made of whole numbers"),
        ("1/0", "denominator is 0"),
        ("0/0", "denominator is 0"),
        ("2", "above 1"),
        ("3/2", "above 1"),
        ("1/4294967296", "above 4294967295"),
    ];
    for (text, why) in cases {
        let message = text.parse::<Ratio>().unwrap_err().to_string();
        assert!(message.contains(why), "{text}: {message}");
        assert!(message.contains(&format!("\"{text}\"")), "{text}: {message}");
        assert!(message.contains("1/100"), "{text}: {message}");
    }
}

#[test]
fn zero_is_benign_and_exactly_the_upper_values_hit() {
    let ratio = Ratio::new(3, 10);
    let hits: Vec<u64> = (0..10).filter(|drawn| ratio.hits(*drawn)).collect();
    assert_eq!(hits, [7, 8, 9]);
    assert!(!Ratio::NEVER.hits(0));
    assert!(Ratio::ALWAYS.hits(0));
}

#[test]
fn order_is_by_value_over_different_denominators() {
    let sorted = ["0", "1/4294967295", "1/1000", "1/3", "2/5", "1/2", "4294967294/4294967295", "1"];
    let ratios: Vec<Ratio> = sorted.iter().map(|text| text.parse().unwrap()).collect();
    assert!(ratios.is_sorted());
    assert!(ratios.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
#[should_panic(expected = "at most 1")]
fn a_ratio_above_1_is_a_mistake_of_the_caller() {
    let _ = Ratio::new(2, 1);
}

proptest! {
    #[test]
    fn text_reads_back_equal(numerator: u32, denominator in 1..=u32::MAX) {
        let ratio = Ratio::new(numerator % denominator, denominator);
        prop_assert_eq!(ratio.to_string().parse::<Ratio>().unwrap(), ratio);
    }

    #[test]
    fn arbitrary_text_never_panics(text: String, near in "[0-9/ .+-]{0,24}") {
        let _ = text.parse::<Ratio>();
        let _ = near.parse::<Ratio>();
    }
}
