use super::*;

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let mut store = SledStore::open(&path, None).unwrap().store;
    store.commit(&[row("a", Some("1")), row("b", Some("2")), row("c", Some("3"))]).unwrap();
    store.commit(&[row("b", None), row("c", Some("4"))]).unwrap();
    drop(store);
    assert_eq!(all(&path), [("a".to_owned(), "1".to_owned()), ("c".to_owned(), "4".to_owned())]);
}

#[test]
fn whatever_was_written_last_counts_alone_or_packed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let mut expected = std::collections::BTreeMap::new();
    let mut chance = 1_u64;
    for round in 0..40 {
        let mut store = SledStore::open(&path, None).unwrap().store;
        let mut rows = std::collections::BTreeMap::new();
        let count = if round % 3 == 0 { 2 * pack::PACKED } else { 5 };
        for _ in 0..count {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value = (chance >> 60 > 5).then(|| format!("{round}"));
            rows.insert(format!("key {}", (chance >> 33) % 1500), value);
        }
        for (key, value) in &rows {
            match value {
                Some(value) => drop(expected.insert(key.clone(), value.clone())),
                None => drop(expected.remove(key)),
            }
        }
        let rows: Vec<_> = rows.iter().map(|(key, value)| row(key, value.as_deref())).collect();
        store.commit(&rows).unwrap();
        if round % 7 == 6 {
            store.lay_out_anew().unwrap();
        }
        drop(store);
        assert_eq!(all(&path), expected.clone().into_iter().collect::<Vec<_>>(), "after round {round}");
    }
}

#[test]
fn what_counts_no_more_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let mut store = SledStore::open(&path, None).unwrap().store;
    let rows = |value: Option<&str>| (0..WASTE / 2).map(|n| row(&format!("{n}"), value)).collect::<Vec<_>>();
    for value in [Some("1"), None, Some("2"), Some("3"), None] {
        store.commit(&rows(value)).unwrap();
    }
    store.commit(&[row("last", Some("one"))]).unwrap();
    store.tidy().unwrap();
    assert!(store.packs.len() <= 1 && store.db.is_empty());
    drop(store);
    assert_eq!(all(&path), [("last".to_owned(), "one".to_owned())]);
}

#[test]
fn a_damaged_store_is_set_aside_and_an_empty_one_begun() {
    for damage in [damage_every_file as fn(&Path), replace_by_a_file] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let mut store = SledStore::open(&path, None).unwrap().store;
        store
            .commit(&(0..1000).map(|n| row(&format!("key {n}"), Some("value"))).collect::<Vec<_>>())
            .unwrap();
        drop(store);
        damage(&path);
        let mut opened = SledStore::open(&path, None).unwrap();
        if opened.set_aside.is_none() {
            // Some damage shows only while it is read.
            let damage = opened.store.load(&mut |_, _| ());
            assert!(matches!(damage, Err(StoreError::Damaged(_))), "{damage:?}");
            drop(opened.store);
            opened = SledStore::open(&path, Some("torn")).unwrap();
        }
        let (aside, _) = opened.set_aside.expect("set aside");
        assert!(aside.exists() && aside.to_str().unwrap().contains("cache.damaged-"));
        drop(opened.store);
        assert_eq!(all(&path), []);
    }
}

#[test]
fn only_the_last_damaged_stores_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    (0..KEPT + 2).for_each(|_| drop(SledStore::open(&path, path.exists().then_some("torn")).unwrap()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + KEPT);
}

#[test]
fn a_store_that_somebody_holds_for_a_moment_is_not_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let store = SledStore::open(&path, None).unwrap().store;
    let error = SledStore::open(&path, None).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    drop(store);
    assert!(SledStore::open(&path, None).unwrap().set_aside.is_none());
}

#[test]
fn a_store_of_another_make_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    drop(Config::new().path(&path).segment_size(2 * SEGMENT).open().unwrap());
    let error = SledStore::open(&path, None).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn damage_every_file(path: &Path) {
    for entry in fs::read_dir(path).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            fs::write(&file, vec![0xa5; fs::metadata(&file).unwrap().len().max(4096) as usize]).unwrap();
        }
    }
}

fn replace_by_a_file(path: &Path) {
    fs::remove_dir_all(path).unwrap();
    fs::write(path, "no folder").unwrap();
}

fn row(key: &str, value: Option<&str>) -> (Key, Value) {
    (key.into(), value.map(Into::into))
}

fn all(path: &Path) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    SledStore::open(path, None)
        .unwrap()
        .store
        .load(&mut |key, value| rows.push((text(key), text(value))))
        .unwrap();
    rows.sort();
    rows
}

#[test]
fn a_store_that_is_just_being_closed_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let mut opened = SledStore::open(&path, None).unwrap();
    opened.store.commit(&[row("a", Some("1"))]).unwrap();
    let closing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        drop(opened);
    });
    assert_eq!(all(&path), [("a".to_owned(), "1".to_owned())]);
    closing.join().unwrap();
}
