//! Two replicators with one authority, each with news of its own, again and again.

use landbridge_testkit::image::Recipe;

use crate::world::{World, oci};

/// How often they race.
const RACES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_races_nothing_is_lost() {
    let world = World::new();
    let layouts: Vec<_> = (0..2).map(|side| world.layout(&format!("layout-{side}"))).collect();
    let images: Vec<_> = (0..2)
        .map(|side| {
            Recipe { seed: side + 1, layers: 1, layer_bytes: 16, ..Recipe::default() }
                .pack()
                .unwrap()
        })
        .collect();
    for (layout, image) in layouts.iter().zip(&images) {
        layout.put_image(image).unwrap();
        layout.tag("v", &image.manifest).unwrap();
    }
    let sources: Vec<_> = layouts.iter().map(|layout| format!("{}:v", oci(layout))).collect();
    let mut rebases = 0;
    for race in 0..RACES {
        let names = [0, 1].map(|side| format!("racer-{side}/app:v{race}"));
        let (one, other) = tokio::join!(
            world.import(&sources[0], &names[0]),
            world.import(&sources[1], &names[1]),
        );
        rebases += one.unwrap().rebases + other.unwrap().rebases;
    }
    assert!(rebases > 0, "they never met");
    for (side, image) in images.iter().enumerate() {
        let repository = world.repository(&format!("racer-{side}/app")).await;
        let wanted: Vec<_> = (0..RACES).map(|race| format!("v{race}")).collect();
        for tag in &wanted {
            let found = repository.tags.iter().find(|entry| entry.name.as_str() == tag);
            let found = found.map(|entry| entry.digest.to_string());
            assert_eq!(found.as_deref(), Some(&*image.manifest.digest), "{side} {tag}");
        }
        assert_eq!(repository.tags.len(), RACES);
    }
    let sequence = world.pointer().await.unwrap().content().sequence;
    assert_eq!(sequence, 2 * RACES as u64, "each publication has a number of its own");
}
