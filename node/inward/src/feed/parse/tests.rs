use proptest::prelude::*;

use super::*;

fn nets(text: &str, format: &str) -> (Vec<String>, usize) {
    let parsed = parse(text.as_bytes(), &format.parse().unwrap()).unwrap();
    (parsed.nets.iter().map(ToString::to_string).collect(), parsed.unreadable)
}

#[test]
fn a_plain_list_has_comments_counts_and_both_families() {
    let text = "\u{feff}; Spamhaus\n# more\n\n1.10.16.0/20 ; SBL256894\r\n192.0.2.7\t12\n 2001:db8::/33 # six\n\
                192.0.2.9,x\nnonsense\n192.0.2.1-192.0.2.9\n203.0.113.5:443\n";
    let expected = ["1.10.16.0/20", "192.0.2.7/32", "2001:db8::/33", "192.0.2.9/32", "203.0.113.5/32"];
    assert_eq!(nets(text, "plain"), (expected.map(str::to_owned).into(), 2));
}

#[test]
fn a_table_is_read_by_the_name_or_the_number_of_a_column() {
    let text = "# abuse\nfirst_seen,Ip,port\n2026,192.0.2.7,443\n\"20,26\",\"198.51.100.0/24\",80\n2026\n";
    let expected = vec!["192.0.2.7/32".to_owned(), "198.51.100.0/24".to_owned()];
    assert_eq!(nets(text, "csv:ip"), (expected.clone(), 1));
    assert_eq!(nets(text, "csv:2"), (expected, 2));
    let missing = parse(text.as_bytes(), &"csv:address".parse().unwrap());
    assert_eq!(missing, Err(Unparsed::NoColumn("address".into())));
    assert!(parse(b"", &"csv:ip".parse().unwrap()).is_err());
}

#[test]
fn json_is_an_array_or_lines_of_texts_or_objects() {
    let expected = vec!["192.0.2.7/32".to_owned(), "2001:db8::/48".to_owned()];
    let objects = r#"[{"ip":"192.0.2.7","n":[1,{"ip":"9.9.9.9"}]},{"ip":"2001:db8::/48"},{"x":1},3,null]"#;
    assert_eq!(nets(r#" ["192.0.2.7","2001:db8::/48"] "#, "json"), (expected.clone(), 0));
    assert_eq!(nets(objects, "json:ip"), (expected.clone(), 3));
    let lines =
        "{\"ip\":\"192.0.2.7\"}\n\n{\"ip\":\"2001:db8::/48\"}\n{\"ip\":{\"ip\":\"9.9.9.9\"}}\n{\"ip\"\n";
    assert_eq!(nets(lines, "json:ip"), (expected, 2));
    for text in ["[\"192.0.2.7\"", "[\"192.0.2.7\"]]", &"[".repeat(100_000)] {
        assert!(
            matches!(parse(text.as_bytes(), &Format::Json(None)), Err(Unparsed::NoJson(_))),
            "{text:.20}"
        );
    }
}

#[test]
fn a_page_of_html_is_a_heap_of_unreadable_lines() {
    let parsed = parse(b"<html>\n<body>503 Service Unavailable</body>\n</html>\n", &Format::Plain).unwrap();
    assert_eq!((parsed.nets.len(), parsed.unreadable, parsed.example.as_deref()), (0, 3, Some("<html>")));
}

#[test]
fn as_many_entries_as_may_be_are_read_and_no_more() {
    let lines: Vec<String> = (0..ENTRIES as u32).map(|n| std::net::Ipv4Addr::from(n).to_string()).collect();
    let (full, array) = (lines.join("\n"), format!("[\"{}\"]", lines.join("\",\"")));
    assert_eq!(parse(full.as_bytes(), &Format::Plain).unwrap().nets.len(), ENTRIES);
    assert_eq!(parse(array.as_bytes(), &Format::Json(None)).unwrap().nets.len(), ENTRIES);
    assert_eq!(parse(format!("{full}\n192.0.2.1").as_bytes(), &Format::Plain), Err(Unparsed::TooMany));
    let array = array.replace(']', ",\"192.0.2.1\"]");
    assert_eq!(parse(array.as_bytes(), &Format::Json(None)), Err(Unparsed::TooMany));
}

#[test]
fn a_line_longer_than_any_is_unreadable() {
    let text = format!("192.0.2.1{}\n192.0.2.2", " ".repeat(LINE));
    assert_eq!(nets(&text, "plain"), (vec!["192.0.2.2/32".to_owned()], 1));
}

#[test]
fn every_form_is_named_as_it_is_read() {
    for text in ["plain", "csv:ip", "csv:3", "json", "json:ip"] {
        assert_eq!(text.parse::<Format>().unwrap().to_string(), text);
    }
    for text in ["", "csv", "csv:", "csv:0", "csv:1001", "json:", "plain:x", "xml", "json:a\nb"] {
        assert!(text.parse::<Format>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for format in ["plain", "csv:ip", "csv:2", "json", "json:ip"] {
            let _ = parse(&bytes, &format.parse().unwrap());
        }
    }

    #[test]
    fn no_text_of_the_right_letters_panics(text in "[\\[\\]{}\":,;#/0-9a-f.\n\r ip]{0,300}") {
        for format in ["plain", "csv:ip", "csv:2", "json", "json:ip"] {
            if let Ok(parsed) = parse(text.as_bytes(), &format.parse().unwrap()) {
                prop_assert!(parsed.nets.len() + parsed.unreadable <= text.len());
                prop_assert!(parsed.nets.iter().all(|net| *net == prefix::canonical_net(*net)));
            }
        }
    }
}
