//! Checks of the style and of the frame.

use std::collections::BTreeMap;

use super::*;

/// The red, green and blue of `#rrggbb`.
fn colour(text: &str) -> [f64; 3] {
    let digits = text.trim().strip_prefix('#').unwrap();
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()))
}

/// The relative luminance of WCAG 2.
fn luminance(colour: [f64; 3]) -> f64 {
    let [red, green, blue] = colour.map(|part| match part / 255.0 {
        part if part <= 0.04045 => part / 12.92,
        part => ((part + 0.055) / 1.055).powf(2.4),
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The colours of the style by name: light and dark.
fn colours() -> BTreeMap<&'static str, [[f64; 3]; 2]> {
    let lines = assets::STYLE.content.lines();
    let pairs = lines.filter_map(|line| {
        let (name, pair) = line.trim().split_once(": light-dark(")?;
        let (light, dark) = pair.strip_suffix(");")?.split_once(',')?;
        Some((name, [colour(light), colour(dark)]))
    });
    pairs.collect()
}

#[test]
fn texts_have_enough_contrast_in_both_schemes() {
    let colours = colours();
    let texts = ["--ink", "--dim", "--link", "--good", "--warn", "--bad"];
    let plain = ["--back", "--card", "--chosen-back"];
    let pairs = texts
        .iter()
        .flat_map(|text| plain.map(|back| (*text, back)));
    let of_problems = [
        ("--ink", "--warn-back"),
        ("--ink", "--bad-back"),
        ("--warn", "--warn-back"),
        ("--bad", "--bad-back"),
    ];
    for (text, back) in pairs.chain(of_problems) {
        for scheme in [0, 1] {
            let found = contrast(colours[text][scheme], colours[back][scheme]);
            assert!(
                found >= 4.5,
                "{text} on {back}, scheme {scheme}: {found:.2}"
            );
        }
    }
    // Parts of images: WCAG 2, 1.4.11. Missing runners are drawn faintly and named in the text below.
    for part in ["--busy", "--reserved", "--idle"] {
        for scheme in [0, 1] {
            let found = contrast(colours[part][scheme], colours["--card"][scheme]);
            assert!(found >= 3.0, "{part}, scheme {scheme}: {found:.2}");
        }
    }
}

#[test]
fn style_and_script_stay_small_and_load_nothing_from_elsewhere() {
    let (style, script) = (assets::STYLE.content, assets::SCRIPT.content);
    assert!(style.len() + script.len() < 60_000);
    for text in [style, script] {
        for banned in ["http:", "https:", "@import", "url(", "eval(", "innerHTML"] {
            assert!(!text.contains(banned), "{banned}");
        }
    }
}

#[test]
fn a_page_in_a_folder_finds_its_files_by_relative_paths() {
    let frame = Frame {
        root: "../",
        name: "Job",
        title: "",
        host: "",
        summary: html! {},
        tools: html! {},
        problems: &[],
        content: html! {},
        footer: html! {},
        now: Timestamp::from_seconds(1_700_000_000),
    };
    let page = frame.render().into_string();
    for part in ["../assets/page.css?v=", "../assets/page.js?v=", "../events"] {
        assert!(page.contains(part), "{page}");
    }
    for banned in ["=\"/", "style=", "<style", "onclick", "//"] {
        assert!(!page.contains(banned), "{banned}: {page}");
    }
}

#[test]
fn a_bar_shows_each_state_as_a_part_and_as_text() {
    let capacity = Capacity {
        busy: 2,
        starting: 1,
        absent: 1,
        missing: 1,
        ..Capacity::default()
    };
    let bar = bar(&capacity).into_string();
    for part in [
        "2 busy, 1 starting, 1 to create, 1 missing of 5 runners",
        r#"class="busy" x="0.00%" width="40.00%""#,
        r#"x="80.00%" width="20.00%" height="100%" fill="url(#missing)""#,
        "1 to create</li>",
    ] {
        assert!(bar.contains(part), "{part}: {bar}");
    }
    assert!(!bar.contains("idle"));
    assert_eq!(super::bar(&Capacity::default()).into_string(), "");
}
