//! What is read, and what is refused.

use std::io::{BufReader, Write as _};

use flate2::{Compression, write::GzEncoder};

use super::{
    bounded::{MAX_COMMENTS, MAX_RECORD},
    *,
};

const HEADER: &str = "packets_per_second,bytes_per_second,mean_packet_length,std_packet_length,mean_interarrival,\
    std_interarrival,distinct_ports,distinct_hosts,syn_share,reset_share,half_open,attempts_per_service,\
    silent_ports,failed_logins,unfinished_requests,requests_per_second,open_connections,\
    class,capture,tool,family";

fn windows(rows: &[&str]) -> String {
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    format!("# schema 2\n{HEADER}\n{rows}")
}

fn read_windows(text: &str) -> Result<Table, String> {
    read(text.as_bytes(), &ReadOptions::default()).map_err(|error| error.to_string())
}

fn keep() -> ReadOptions {
    ReadOptions { missing: Missing::Keep, ..ReadOptions::default() }
}

fn named(label: &str, leave_out: &[&str]) -> ReadOptions {
    let leave_out = leave_out.iter().map(|name| (*name).to_owned()).collect();
    let columns = Columns::Named { label: label.to_owned(), capture: None, tool: None, leave_out };
    ReadOptions { columns, ..ReadOptions::default() }
}

const ROW: &str = "1,2,3,4,5,6,7,8,0.5,0,1e3,12,0,0,0,0,0,benign,run-1,firefox,ipv6";

#[test]
fn windows_are_read_with_what_is_known_about_them() {
    let table =
        read_windows(&windows(&[ROW, "1,2,3,4,5,6,7,8,.5,0,10,12,0,0,0,0,0,port_scan,run-2,nmap,ipv4"]))
            .unwrap();
    assert_eq!(table.len(), 2);
    assert_eq!(table.values_of(0)[10], 1000.0);
    let row = table.row(1);
    assert_eq!((row.class, row.capture, row.tool, row.family), ("port_scan", "run-2", "nmap", "ipv4"));
    assert_eq!(table.class().counts(), [1, 1]);
}

#[test]
fn a_table_of_another_schema_or_order_is_refused() {
    let other = windows(&[ROW]).replace("schema 2", "schema 3");
    assert!(read_windows(&other).unwrap_err().starts_with("its features are of schema 3"));
    assert!(read_windows(&format!("{HEADER}\n{ROW}\n")).unwrap_err().contains("# schema 2"));
    let swapped = windows(&[ROW]).replace("syn_share,reset_share", "reset_share,syn_share");
    assert_eq!(
        read_windows(&swapped).unwrap_err(),
        "column 9 is \"reset_share\", and should be \"syn_share\""
    );
    let more = windows(&[]).replace(",family", ",family,colour");
    assert_eq!(read_windows(&more).unwrap_err(), "column 22 is \"colour\", and should be \"\"");
    let fewer = windows(&[]).replace(",family", "");
    assert_eq!(read_windows(&fewer).unwrap_err(), "column 21 is \"\", and should be \"family\"");
}

#[test]
fn a_table_without_rows_or_header_is_refused() {
    assert_eq!(read_windows(&windows(&[])).unwrap_err(), "it has a header and no rows");
    assert_eq!(read_windows("# schema 2\n").unwrap_err(), "it is empty: not even a header");
    assert!(read_windows("").is_err());
}

#[test]
fn a_bad_value_is_refused_by_line_and_column() {
    for (value, what) in [("", "missing"), ("nan", "missing"), ("inf", "infinite"), ("1e99", "infinite")] {
        let bad = windows(&[ROW, &ROW.replace("0.5", value)]);
        let expected = format!("line 4, column \"syn_share\": {value:?} is {what}");
        assert_eq!(read_windows(&bad).unwrap_err(), expected);
    }
    let error = read_windows(&windows(&[&ROW.replace("0.5", "half")])).unwrap_err();
    assert_eq!(error, "line 3, column \"syn_share\": \"half\" is no number");
    let error = read_windows(&windows(&[ROW, "1,2,3"])).unwrap_err();
    assert_eq!(error, "line 4 has 3 fields, and the header 21");
    let error = read(&b"# schema 2\n\xff\xfe,b\n1,2\n"[..], &ReadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
}

#[test]
fn missing_and_infinite_values_are_kept_when_asked_to() {
    let text = windows(&["?,,nan,inf,-inf,1e99,7,8,.5,0,1,2,0,0,0,0,0,benign,a,b,c"]);
    let table = read(text.as_bytes(), &keep()).unwrap();
    let values = table.values_of(0);
    assert!(values[..3].iter().all(|value| value.is_nan()));
    assert_eq!(values[3..6], [f32::MAX, f32::MIN, f32::MAX]);
}

#[test]
fn tables_of_any_columns_are_read_by_the_name_of_their_class() {
    let text = " Destination Port, Bytes,Length,Length, Label\n80,1,2,3,DoS Hulk\n81,1,2,3,BENIGN\n";
    let table = read(text.as_bytes(), &named("Label", &["Destination Port"])).unwrap();
    assert_eq!(table.features(), ["Bytes", "Length", "Length.1"]);
    assert_eq!(table.class().names(), ["DoS Hulk", "benign"], "as it is called in all tables");
    let thrice = read(&b"a,a ,b,a,class\n1,2,3,4,x\n"[..], &named("class", &["a.1"])).unwrap();
    assert_eq!(thrice.features(), ["a", "b", "a.2"]);
    let refused = |options| read(text.as_bytes(), &options).unwrap_err().to_string();
    assert_eq!(refused(named("class", &[])), "it has no column \"class\"");
    assert_eq!(refused(named("Label", &["Source"])), "it has no column \"Source\"");
    let all = ["Destination Port", "Bytes", "Length", "Length.1"];
    assert_eq!(refused(named("Label", &all)), "it has 0 features; a model has from 1 to 127");
}

#[test]
fn a_compressed_table_is_read_and_what_unfolds_without_end_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("windows.csv.gz");
    let write = |text: &[u8]| {
        let mut out = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::best());
        out.write_all(text).unwrap();
        out.finish().unwrap();
    };
    write(windows(&[ROW]).as_bytes());
    assert_eq!(read_files(&[&path, &path], &ReadOptions::default()).unwrap().len(), 2);
    write(&[b"# schema 2\n".as_slice(), &vec![b'1'; 10 << 20]].concat());
    let error = read_file(&path, &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("windows.csv.gz") && error.contains("too long"), "{error}");
    write(windows(&vec![ROW; 1000]).as_bytes());
    let options = ReadOptions { limits: Limits { bytes: 5000, rows: 10_000 }, ..ReadOptions::default() };
    let error = read_file(&path, &options).unwrap_err().to_string();
    assert!(error.contains("more bytes than allowed"), "{error}");
    std::fs::write(&path, b"no gzip").unwrap();
    assert!(read_file(&path, &ReadOptions::default()).is_err());
    assert!(read_file(&dir.path().join("none.csv"), &ReadOptions::default()).is_err());
}

#[test]
fn comments_and_records_are_bounded_however_they_are_written() {
    let read = |text: String| read_windows(&text).map(|table| table.len());
    let table = windows(&[ROW]);
    let comments = |count: usize| "#\n".repeat(count - 1) + &table;
    assert_eq!(read(comments(MAX_COMMENTS)), Ok(1));
    assert!(read(comments(MAX_COMMENTS + 1)).unwrap_err().contains("more comments"));
    // A record in quotes may go over many lines, and empty lines are none.
    let quoted = |lines: usize| windows(&[&ROW.replace("run-1", &format!("\"{}\"", "\n".repeat(lines)))]);
    assert_eq!(read(quoted(1000)), Ok(1), "its name is trimmed");
    assert!(read(quoted(1 << 20)).unwrap_err().contains("too long"));
    assert!(read(table.clone() + &"\n".repeat(1 << 20)).unwrap_err().contains("too long"));
    assert_eq!(read(windows(&vec![ROW; 10_000])), Ok(10_000));
}

#[test]
fn every_limit_is_kept() {
    let limits = |rows| ReadOptions { limits: Limits { rows, bytes: 1 << 20 }, ..ReadOptions::default() };
    let text = windows(&[ROW; 3]);
    assert!(read(text.as_bytes(), &limits(3)).is_ok());
    let error = read(text.as_bytes(), &limits(2)).unwrap_err().to_string();
    assert_eq!(error, "it has more than 2 rows");
    let long = format!("# {}\n", "x".repeat(MAX_RECORD as usize));
    assert!(read(BufReader::new(long.as_bytes()), &ReadOptions::default()).is_err());
    let header: String = (0..=MAX_FEATURES).map(|n| format!("f{n},")).collect();
    let wide = format!("{header}class\n");
    let error = read(wide.as_bytes(), &named("class", &[])).unwrap_err().to_string();
    assert_eq!(error, "it has 128 features; a model has from 1 to 127");
    let classes: Vec<String> = (0..=MAX_CLASSES).map(|n| ROW.replace("benign", &format!("c{n}"))).collect();
    let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
    assert_eq!(
        read_windows(&windows(&classes)).unwrap_err(),
        "line 67: column \"class\" has more than 64 different names"
    );
    let name = ROW.replace("run-1", &"r".repeat(MAX_NAME + 1));
    let error = read_windows(&windows(&[&name])).unwrap_err();
    assert_eq!(error, "line 3: a name in column \"capture\" has more than 128 bytes");
}

#[test]
fn more_groups_than_are_groups_are_refused() {
    let mut table = Table::new(vec!["x".into()]).unwrap();
    let mut push = |n: usize| {
        let capture = n.to_string();
        let row = Row { values: &[0.0], class: "a", capture: &capture, tool: "", family: "", weight: 1.0 };
        table.push(row)
    };
    assert!((0..MAX_NAMES).all(|n| push(n).is_ok()));
    assert!(matches!(push(MAX_NAMES), Err(TableError::ManyNames { column: "capture", .. })));
    assert!(push(0).is_ok());
}

#[test]
fn a_row_that_is_refused_leaves_the_table_as_it_was() {
    let mut table = Table::new(vec!["x".into()]).unwrap();
    let row = Row { values: &[0.0], class: "a", capture: "", tool: "", family: "", weight: 1.0 };
    assert!(table.push(row).is_ok());
    let before = table.clone();
    assert!(matches!(table.push(Row { values: &[], ..row }), Err(TableError::Width { .. })));
    assert!(matches!(table.push(Row { values: &[f32::INFINITY], ..row }), Err(TableError::Infinite(_))));
    assert!(matches!(table.push(Row { weight: 0.0, ..row }), Err(TableError::Weight(_))));
    assert!(matches!(table.push(Row { weight: f32::NAN, ..row }), Err(TableError::Weight(_))));
    let long = "x".repeat(MAX_NAME + 1);
    assert!(table.push(Row { class: "b", tool: &long, ..row }).is_err());
    assert_eq!(table, before);
    assert!(matches!(table.append(&Table::windows()), Err(TableError::OtherFeatures)));
    assert!(matches!(Table::new(vec!["x".into(), "x".into()]), Err(TableError::Twice(_))));
}

#[test]
fn tidy_puts_benign_first_and_names_what_has_no_rows() {
    let mut table = Table::new(vec!["x".into()]).unwrap();
    for class in ["slow_dos", "port_scan", "benign", "botnet"] {
        let row = Row { values: &[0.0], class, capture: "", tool: "", family: "", weight: 1.0 };
        table.push(row).unwrap();
    }
    let (table, dropped) = table.select(&[0, 2, 3]).tidy();
    assert_eq!(table.class().names(), ["benign", "botnet", "slow_dos"]);
    assert_eq!(table.class().of(), [2, 0, 1]);
    assert_eq!(dropped, ["port_scan"]);
}
