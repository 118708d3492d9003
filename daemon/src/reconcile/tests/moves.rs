use super::*;

#[test]
fn a_renamed_video_is_the_same_video() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.rename("a/x.mp4", "a/y.mp4");
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/y.mp4"]);
    assert_eq!(world.id("a/y.mp4"), id);
}

#[test]
fn a_renamed_folder_takes_its_videos_along() {
    let mut world = World::new();
    for i in 0..5 {
        world.write(&format!("a/b/c/{i}.mp4"), &format!("film {i}"));
    }
    world.quiet();
    let id = world.id("a/b/c/3.mp4");
    world.rename("a/b", "a/d");
    assert_eq!(world.quiet().len(), 0);
    assert_eq!(world.id("a/d/c/3.mp4"), id);
    world.check_store_equals_tree();
    // The folder is watched under its new name, and a new one under the old name too.
    world.write("a/d/c/new.mp4", "new");
    world.write("a/b/c/3.mp4", "film 3 anew");
    assert_eq!(world.quiet().len(), 2);
    world.check_store_equals_tree();
}

#[test]
fn a_folder_renamed_back_and_forth_stays_watched() {
    let mut world = World::new();
    world.write("a/b/x.mp4", "one");
    world.quiet();
    for round in 0..20 {
        world.rename("a/b", "a/c");
        if round % 3 == 0 {
            world.handle().barrier(PATIENCE);
        }
        world.rename("a/c", "a/b");
    }
    assert_eq!(world.quiet().len(), 0);
    world.write("a/b/y.mp4", "two");
    assert_eq!(world.quiet().len(), 1);
    world.check_store_equals_tree();
}

#[test]
fn a_move_between_roots_decodes_nothing() {
    let mut world = World::with_roots(&["a", "b"]);
    world.write("a/x.mp4", "one");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.rename("a/x.mp4", "b/x.mp4");
    assert_eq!(world.quiet().len(), 0);
    assert_eq!(world.id("b/x.mp4"), id);
}

#[test]
fn a_move_across_file_systems_decodes_nothing_in_any_order() {
    let mut world = World::with_roots(&["a", "b"]);
    world.write("a/x.mp4", "one");
    world.write("a/y.mp4", "another");
    world.quiet();
    let ids = (world.id("a/x.mp4"), world.id("a/y.mp4"));
    // As `mv` does it: copy, then delete.
    std::fs::copy(world.path("a/x.mp4"), world.path("b/x.mp4")).unwrap();
    world.remove("a/x.mp4");
    // As a synchronisation program may do it: delete, then create.
    let content = std::fs::read(world.path("a/y.mp4")).unwrap();
    world.remove("a/y.mp4");
    std::fs::write(world.path("b/y.mp4"), content).unwrap();
    assert_eq!(world.quiet().len(), 0);
    assert_eq!((world.id("b/x.mp4"), world.id("b/y.mp4")), ids);
    world.check_store_equals_tree();
}

#[test]
fn swapped_videos_swap_and_nothing_is_decoded() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.write("a/y.mp4", "another");
    world.quiet();
    let (x, y) = (world.id("a/x.mp4"), world.id("a/y.mp4"));
    world.rename("a/x.mp4", "a/t.mp4");
    world.rename("a/y.mp4", "a/x.mp4");
    world.rename("a/t.mp4", "a/y.mp4");
    assert_eq!(world.quiet().len(), 0);
    assert_eq!((world.id("a/x.mp4"), world.id("a/y.mp4")), (y, x));
    world.check_store_equals_tree();
}

#[test]
fn a_video_renamed_over_another_replaces_it() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.write("a/y.mp4", "another");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.rename("a/x.mp4", "a/y.mp4");
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/y.mp4"]);
    assert_eq!(world.id("a/y.mp4"), id);
    world.check_store_equals_tree();
}

#[test]
fn a_video_renamed_and_another_put_in_its_place() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    let id = world.id("a/x.mp4");
    world.rename("a/x.mp4", "a/y.mp4");
    world.write("a/x.mp4", "something new");
    assert_eq!(world.quiet(), [world.path("a/x.mp4")]);
    assert_eq!(world.id("a/y.mp4"), id);
    world.check_store_equals_tree();
}

#[test]
fn hard_links_and_copies_are_not_decoded() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.quiet();
    std::fs::hard_link(world.path("a/x.mp4"), world.path("a/linked.mp4")).unwrap();
    std::fs::copy(world.path("a/x.mp4"), world.path("a/copied.mp4")).unwrap();
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/copied.mp4", "a/linked.mp4", "a/x.mp4"]);
    world.remove("a/x.mp4");
    assert_eq!(world.quiet().len(), 0);
    world.check(&["a/copied.mp4", "a/linked.mp4"]);
    world.check_store_equals_tree();
}

#[test]
fn a_copy_put_over_another_video_is_not_decoded() {
    let mut world = World::new();
    world.write("a/x.mp4", "one");
    world.write("a/y.mp4", "another");
    world.quiet();
    std::fs::copy(world.path("a/x.mp4"), world.path("a/y.mp4")).unwrap();
    assert_eq!(world.quiet().len(), 0);
    world.check_store_equals_tree();
}
