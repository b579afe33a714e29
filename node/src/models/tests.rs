//! Models that come, judge and go, and those that never do.

use std::{fs, os::unix::fs::PermissionsExt as _};

use smartfw_learn::{
    Card,
    fixture::{card, model},
};
use smartfw_proto::view::ModelHead;

use super::*;
use crate::{counters::Counters, detector::Feed};

struct Place {
    dir: tempfile::TempDir,
    health: Arc<Health>,
    built_in: ModelFile,
    key: ModelKey,
}

impl Place {
    fn new() -> Self {
        let maker = ModelKey::generate().unwrap();
        let built_in = ModelFile::write(&model(), &card("shipped"), &maker).unwrap();
        let (dir, health) = (tempfile::tempdir().unwrap(), Arc::default());
        Self { dir, health, built_in, key: ModelKey::generate().unwrap() }
    }

    fn open(&self) -> Models {
        self.open_believing(vec![self.key.signer()])
    }

    fn open_believing(&self, configured: Vec<Signer>) -> Models {
        let feed = Arc::new(Feed::new(Arc::<Counters>::default()));
        Models::open(self.dir.path(), Some(self.built_in.clone()), configured, feed, self.health.clone())
    }

    fn file(&self, name: &str) -> ModelFile {
        ModelFile::write(&model(), &card(name), &self.key).unwrap()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("models").join(name)
    }

    fn wrong(&self) -> Vec<String> {
        self.health.list().into_iter().map(|entry| entry.what).collect()
    }
}

fn used(models: &Models) -> String {
    models.names().0.unwrap()
}

#[test]
fn an_imported_model_judges_once_it_is_used_and_after_a_restart() {
    let place = Place::new();
    let models = place.open();
    assert_eq!(used(&models), BUILT_IN);
    assert_eq!(models.put(&place.file("lab")).unwrap(), "lab");
    assert_eq!(used(&models), BUILT_IN);
    models.use_("lab").unwrap();
    models.shadow(Some(BUILT_IN)).unwrap();
    let again = place.open();
    assert_eq!(again.names(), (Some("lab".into()), Some(BUILT_IN.into())));
    assert!(again.judges().used.is_some() && again.judges().shadow.is_some());
    assert_eq!(place.wrong(), Vec::<String>::new());
    assert_eq!(fs::metadata(place.path("lab.sfwm")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(place.path("")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_damaged_model_is_told_of_and_the_built_in_one_judges() {
    let place = Place::new();
    let models = place.open();
    models.put(&place.file("lab")).unwrap();
    models.use_("lab").unwrap();
    models.put(&place.file("other")).unwrap();
    models.shadow(Some("other")).unwrap();
    let whole = fs::read(place.path("lab.sfwm")).unwrap();
    for name in ["lab.sfwm", "other.sfwm"] {
        fs::write(place.path(name), &whole[..whole.len() / 2]).unwrap();
    }
    let again = place.open();
    assert_eq!(again.names(), (Some(BUILT_IN.into()), None));
    assert!(place.wrong().iter().any(|what| what.contains("`lab` is refused: it is truncated")));
    assert_eq!(place.wrong().len(), 2, "the shadow, too");
    assert!(again.list().unwrap().iter().any(|row| row.name == "lab" && row.fault.contains("truncated")));
    again.put(&place.file("lab")).unwrap();
    again.use_("lab").unwrap();
    again.shadow(None).unwrap();
    assert_eq!((used(&again), place.wrong().len()), ("lab".into(), 0), "the same file again mends it");
}

#[test]
fn a_lost_choice_is_told_of_and_made_anew() {
    let place = Place::new();
    let models = place.open();
    models.put(&place.file("lab")).unwrap();
    models.use_("lab").unwrap();
    fs::write(place.path("state.json"), "{").unwrap();
    let again = place.open();
    assert_eq!(used(&again), BUILT_IN);
    assert!(place.wrong()[0].contains("state.json"));
    again.use_("lab").unwrap();
    assert!(place.wrong().is_empty());
    assert_eq!(used(&place.open()), "lab");
}

#[test]
fn a_stranger_s_model_is_taken_only_once_somebody_vouches_for_them() {
    let place = Place::new();
    let (file, signer) = (place.file("lab"), place.key.signer());
    let models = place.open_believing(vec![]);
    let refused = models.put(&file).unwrap_err().to_string();
    assert!(refused.contains(&format!("--trust {signer}")), "{refused}");
    assert!(models.list().unwrap().len() == 1 && models.use_("lab").is_err());
    let head = |trust: Signer| ModelHead { name: None, trust: Some(trust.0) };
    assert!(matches!(models.import(&file, head(Signer([1; 32]))), Err(ModelsError::OtherKey { .. })));
    let taken = models.import(&file, head(signer)).unwrap();
    assert_eq!((taken.voucher, taken.signer), (Some(Voucher::Imported), signer.0));
    place.open_believing(vec![]).use_("lab").unwrap();
    assert_eq!(used(&place.open_believing(vec![])), "lab", "the word outlives the process");
}

#[test]
fn a_model_whose_signer_is_believed_no_more_judges_no_more() {
    let place = Place::new();
    let models = place.open();
    models.put(&place.file("lab")).unwrap();
    models.use_("lab").unwrap();
    let again = place.open_believing(vec![]);
    assert_eq!(used(&again), BUILT_IN);
    assert!(place.wrong()[0].contains("nobody vouches for"));
    let rows = again.list().unwrap();
    assert!(rows[1].voucher.is_none() && rows[1].fault.contains("--trust"), "{rows:?}");
}

#[test]
fn a_rollback_brings_back_what_judged_before() {
    let place = Place::new();
    let models = place.open();
    assert!(matches!(models.use_(PREVIOUS), Err(ModelsError::NoPrevious)));
    models.put(&place.file("lab")).unwrap();
    models.shadow(Some("lab")).unwrap();
    let places = models.use_("lab").unwrap();
    assert_eq!((places.shadow, places.previous.as_deref()), (None, Some(BUILT_IN)));
    assert!(matches!(models.shadow(Some("lab")), Err(ModelsError::Judges(_))));
    let places = models.use_(PREVIOUS).unwrap();
    assert_eq!((places.used.as_deref(), places.previous.as_deref()), (Some(BUILT_IN), Some("lab")));
}

#[test]
fn so_many_models_are_kept_and_what_has_a_place_stays() {
    let place = Place::new();
    let models = place.open();
    for n in 0..MAX_MODELS {
        models.put(&place.file(&format!("lab-{n:02}"))).unwrap();
    }
    assert!(matches!(models.put(&place.file("more")), Err(ModelsError::Full)));
    assert!(models.put(&place.file("lab-00")).is_ok(), "the same file is no more");
    assert_eq!(models.list().unwrap().len(), MAX_MODELS + 1);
    models.use_("lab-00").unwrap();
    models.use_("lab-01").unwrap();
    models.shadow(Some("lab-02")).unwrap();
    for placed in ["lab-00", "lab-01", "lab-02"] {
        assert!(matches!(models.remove(placed), Err(ModelsError::Placed(_))), "{placed}");
    }
    models.remove("lab-03").unwrap();
    models.put(&place.file("more")).unwrap();
}

#[test]
fn no_name_leads_out_of_the_folder_or_over_another_model() {
    let place = Place::new();
    let models = place.open();
    for name in ["../state", "a/b", "", "builtin", "previous"] {
        let head = ModelHead { name: Some(name.into()), trust: None };
        assert!(matches!(models.import(&place.file("lab"), head), Err(ModelsError::Name(_))), "{name}");
        assert!(name == BUILT_IN || models.export(name).is_err(), "{name}");
        assert!(models.remove(name).is_err(), "{name}");
    }
    models.put(&place.file("lab")).unwrap();
    let other = Card { notes: vec!["another".into()], ..card("lab") };
    let other = ModelFile::write(&model(), &other, &place.key).unwrap();
    assert!(matches!(models.put(&other), Err(ModelsError::Exists(_))));
    assert_eq!(models.export("lab").unwrap().as_bytes(), place.file("lab").as_bytes());
}

#[test]
fn what_the_node_signs_itself_is_believed_after_a_restart() {
    let place = Place::new();
    let models = place.open_believing(vec![]);
    assert!(!place.path("key").exists(), "made at the first need");
    let learned = models.sign(&model(), &card("learned-1")).unwrap();
    models.put(&learned).unwrap();
    models.use_("learned-1").unwrap();
    assert_eq!(fs::metadata(place.path("key")).unwrap().permissions().mode() & 0o777, 0o600);
    let again = place.open_believing(vec![]);
    assert_eq!(used(&again), "learned-1");
    let rows = again.list().unwrap();
    assert_eq!((rows[0].voucher, rows[1].voucher), (Some(Voucher::BuiltIn), Some(Voucher::Own)));
    assert_eq!((rows[1].rows, rows[1].used, rows[0].previous), (Some(2), true, true));
}

#[test]
fn a_damaged_key_of_the_node_s_own_is_told_of_and_not_replaced() {
    let place = Place::new();
    place.open().sign(&model(), &card("learned-1")).unwrap();
    fs::write(place.path("key"), "rubbish").unwrap();
    let again = place.open();
    assert!(place.wrong()[0].contains("no Ed25519 private key"));
    assert!(matches!(again.sign(&model(), &card("learned-2")), Err(ModelsError::Key(_))));
    assert_eq!(fs::read(place.path("key")).unwrap(), b"rubbish");
}

#[test]
fn where_nothing_can_be_written_nothing_changes() {
    let place = Place::new();
    fs::write(place.dir.path().join("models"), "a file where the folder should be").unwrap();
    let models = place.open();
    assert_eq!(used(&models), BUILT_IN);
    assert!(matches!(models.put(&place.file("lab")), Err(ModelsError::Io { .. } | ModelsError::File { .. })));
    assert!(models.shadow(None).is_err() && models.list().is_err());
}

#[test]
fn a_word_given_at_an_import_is_taken_back() {
    let place = Place::new();
    let (file, signer) = (place.file("lab"), place.key.signer());
    let head = || ModelHead { name: None, trust: Some(signer.0) };
    let models = place.open_believing(vec![]);
    assert!(matches!(models.distrust(signer), Err(ModelsError::NotTrusted(_))));
    models.import(&file, head()).unwrap();
    for judge in [|models: &Models| models.use_("lab"), |models: &Models| models.shadow(Some("lab"))] {
        judge(&models).unwrap();
        assert!(matches!(models.distrust(signer), Err(ModelsError::StillJudges(_))));
        models.use_(BUILT_IN).unwrap();
    }
    models.shadow(None).unwrap();
    models.distrust(signer).unwrap();
    assert!(matches!(models.use_(PREVIOUS), Err(ModelsError::Stranger { .. })));
    assert!(place.open_believing(vec![]).use_("lab").is_err(), "nor after a restart");
}

#[test]
fn a_word_outlives_the_configuration_that_says_the_same() {
    let place = Place::new();
    let signer = place.key.signer();
    let head = || ModelHead { name: None, trust: Some(signer.0) };
    let models = place.open();
    models.import(&place.file("lab"), head()).unwrap();
    models.import(&place.file("lab"), head()).unwrap();
    assert!(matches!(models.distrust(signer), Err(ModelsError::Configured(_))));
    models.believe(vec![]);
    models.use_("lab").unwrap();
    models.use_(BUILT_IN).unwrap();
    models.distrust(signer).unwrap();
    assert!(models.use_("lab").is_err(), "it was stored once");
}

#[test]
fn a_configuration_that_changes_decides_at_once_who_judges() {
    let place = Place::new();
    let models = place.open();
    models.put(&place.file("lab")).unwrap();
    models.use_("lab").unwrap();
    let before = models.judges().used.unwrap();
    models.believe(vec![place.key.signer()]);
    assert!(Arc::ptr_eq(&before, &models.judges().used.unwrap()), "nothing is another");
    models.believe(vec![]);
    assert_eq!(used(&models), BUILT_IN);
    assert!(place.wrong()[0].contains("nobody vouches for"), "{:?}", place.wrong());
    models.believe(vec![place.key.signer()]);
    assert_eq!((used(&models), place.wrong().len()), ("lab".into(), 0));
}

#[test]
fn an_import_whose_trust_cannot_be_stored_leaves_nothing_behind() {
    let place = Place::new();
    let models = place.open_believing(vec![]);
    models.shadow(None).unwrap();
    fs::create_dir(place.path("state.json.new")).unwrap();
    let head = ModelHead { name: None, trust: Some(place.key.signer().0) };
    assert!(matches!(models.import(&place.file("lab"), head), Err(ModelsError::Io { .. })));
    assert!(!place.path("lab.sfwm").exists());
    assert!(matches!(models.put(&place.file("lab")), Err(ModelsError::Stranger { .. })));
}
