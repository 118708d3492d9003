//! Vectors of several models side by side: added, hidden, purged.

use super::*;

#[test]
fn a_second_model_lives_beside_the_first_until_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    store.put_indexed(indexed(&record, "m", 3)).unwrap();
    store.put_indexed(indexed(&record, "mm", 3)).unwrap();
    check_content(&store, &record, "m", 3);
    check_content(&store, &record, "mm", 3);
    assert_eq!(store.n_videos_with_vectors(&model("m")).unwrap(), 1);
    store.hide_model(&model("m")).unwrap();
    while store.purge_some(&model("m")).unwrap() {}
    assert!(!store.has_vectors(&model("m"), record.id).unwrap());
    check_content(&store, &record, "mm", 3);
    assert_eq!(store.inner.disk.vectors.iter().count(), 3);
}

#[test]
fn vectors_are_added_to_the_scenes_that_are_there_and_to_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    let vectors = |n_scenes| indexed(&record, "mm", n_scenes).vectors;
    let put = |fingerprint: u8, n_scenes| store.put_vectors(record.id, &Fingerprint([fingerprint; 16]), &model("mm"), &vectors(n_scenes));
    let is_superseded = |outcome: Result<(), StoreError>| matches!(outcome, Err(StoreError::Superseded(id)) if id == record.id);
    assert!(is_superseded(put(1, 0)), "nothing is indexed yet");
    store.put_indexed(indexed(&record, "m", 3)).unwrap();
    assert!(is_superseded(put(2, 3)), "another content");
    assert!(is_superseded(put(1, 2)), "another number of scenes");
    let before = store.generation();
    put(1, 3).unwrap();
    check_content(&store, &record, "m", 3);
    check_content(&store, &record, "mm", 3);
    let kinds: Vec<_> = store
        .changes_since(before)
        .unwrap()
        .unwrap()
        .into_iter()
        .map(|change| change.kind)
        .collect();
    assert_eq!(kinds, [ChangeKind::Vectors { model: model("mm") }]);
    assert_eq!(store.video(record.id).unwrap().state, VideoState::Indexed);
    assert!(store.videos_without_vectors(&model("mm")).is_empty());
    assert_eq!(store.videos_without_vectors(&model("x")).len(), 1);
    store.remove_videos(&[record.id]).unwrap();
    assert!(matches!(put(1, 3), Err(StoreError::Gone(_))));
}

#[test]
fn one_batch_may_bring_the_vectors_of_two_models() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    store.put_indexed(indexed(&record, "m", 2)).unwrap();
    let mut both = indexed(&record, "mm", 4);
    both.others = vec![(model("m"), indexed(&record, "m", 4).vectors)];
    store.put_indexed(both).unwrap();
    check_content(&store, &record, "m", 4);
    check_content(&store, &record, "mm", 4);
    let mut uneven = indexed(&record, "mm", 4);
    uneven.others = vec![(model("m"), indexed(&record, "m", 3).vectors)];
    assert!(matches!(store.put_indexed(uneven), Err(StoreError::Invalid { .. })));
}

#[test]
fn a_hidden_model_that_has_vectors_again_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = store.add_video(new_video("/a", 1), 1).unwrap();
    store.put_indexed(indexed(&record, "m", 3)).unwrap();
    store.put_indexed(indexed(&record, "mm", 3)).unwrap();
    store.hide_model(&model("m")).unwrap();
    assert!(store.video_vectors(&model("m"), record.id).unwrap().is_empty());
    let again = indexed(&record, "m", 3).vectors;
    store.put_vectors(record.id, &record.fingerprint, &model("m"), &again).unwrap();
    assert!(!store.purge_some(&model("m")).unwrap());
    check_content(&store, &record, "m", 3);
}
