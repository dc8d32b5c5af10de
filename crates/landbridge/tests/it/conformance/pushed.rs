//! The content that the suite pushes before it pulls.

use std::slice::from_ref;

use anyhow::Result;
use landbridge_testkit::Layout;
use landbridge_testkit::image::{Algorithm, Blob, Recipe, digest};
use serde_json::{Value, json};

use crate::content::{manifest, source};
use crate::running::Data;

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(super) const FIRST_TYPE: &str = "application/vnd.example.oci.conformance";
pub(super) const SECOND_TYPE: &str = "application/vnd.example.oci.conformance.alt";
/// The repository's name.
pub(super) const REPOSITORY: &str = "conformance/repo1";

/// Everything in the repository.
pub(super) struct Pushed {
    /// Manifests with their tags.
    pub(super) tagged: Vec<(String, Blob)>,
    /// Blobs that manifests refer to.
    pub(super) blobs: Vec<Blob>,
    /// 2048 bytes, one of the blobs.
    pub(super) ranged: Blob,
    /// What referrers are about.
    pub(super) subject: Blob,
    /// A subject that is not there.
    pub(super) missing_subject: String,
    /// Referrers: which subject, and the descriptor that must be listed.
    pub(super) referrers: Vec<(String, Value)>,
}

impl Pushed {
    pub(super) fn make() -> Result<Self> {
        let ranged_bytes =
            (0..2048_u32).map(|at| u8::try_from(at % 251)).collect::<Result<_, _>>()?;
        let ranged = Blob::new(Algorithm::Sha256, "application/octet-stream", ranged_bytes);
        let empty_json = Blob::new(Algorithm::Sha256, EMPTY, b"{}".to_vec());
        let empty = Blob::new(Algorithm::Sha256, "application/octet-stream", Vec::new());
        let mut pushed = Self {
            tagged: Vec::new(),
            blobs: vec![ranged.clone(), empty_json.clone(), empty.clone()],
            ranged: ranged.clone(),
            subject: empty.clone(),
            missing_subject: digest(Algorithm::Sha256, b"a manifest that was never pushed"),
            referrers: Vec::new(),
        };
        pushed.images(&ranged, &empty)?;
        pushed.indexes();
        pushed.artifacts(&empty_json, &ranged);
        Ok(pushed)
    }

    /// All of it, published as [`REPOSITORY`].
    pub(super) fn data(&self) -> Result<Data> {
        let dir = tempfile::tempdir()?;
        let layout = Layout::create(dir.path().join("layout"))?;
        for blob in &self.blobs {
            layout.put(blob)?;
        }
        for (tag, manifest) in &self.tagged {
            layout.tag(tag, manifest)?;
        }
        let data = Data::new()?;
        data.import(&source(&layout), REPOSITORY)?;
        Ok(data)
    }

    fn push(&mut self, tag: &str, media_type: &str, content: &Value) -> Blob {
        self.push_by(Algorithm::Sha256, tag, media_type, content)
    }

    fn push_by(&mut self, by: Algorithm, tag: &str, media_type: &str, content: &Value) -> Blob {
        let blob = manifest(by, media_type, content);
        self.tagged.push((tag.to_owned(), blob.clone()));
        blob
    }

    fn config(&mut self, by: Algorithm, name: &str) -> Value {
        let content = json!({ "architecture": "amd64", "os": "linux", "author": name,
            "rootfs": { "type": "layers", "diff_ids": [] } });
        let blob = Blob::new(by, CONFIG, content.to_string().into_bytes());
        self.blobs.push(blob.clone());
        blob.descriptor()
    }

    fn images(&mut self, ranged: &Blob, empty: &Blob) -> Result<()> {
        for (tag, recipe) in [
            ("image", Recipe { seed: 11, ..Recipe::default() }),
            (
                "image-sha512",
                Recipe { seed: 12, algorithm: Algorithm::Sha512, ..Recipe::default() },
            ),
        ] {
            let image = recipe.pack()?;
            self.blobs.extend(image.layers.iter().chain([&image.config]).cloned());
            self.tagged.push((tag.to_owned(), image.manifest));
        }
        let plain = Blob::new(Algorithm::Sha256, LAYER, ranged.bytes.clone()).descriptor();
        let config = self.config(Algorithm::Sha256, "uncompressed");
        self.push("image-uncompressed", MANIFEST, &image_of(&config, from_ref(&plain)));

        let config = self.config(Algorithm::Sha256, "large");
        let mut large = image_of(&config, from_ref(&plain));
        let annotations =
            (0..390).map(|n| (format!("annotation-{n:03}"), json!("x".repeat(10_000))));
        large["annotations"] = Value::Object(annotations.collect());
        self.push("large-manifest", MANIFEST, &large);

        let config = self.config(Algorithm::Sha256, "data");
        let mut with_data = empty.descriptor();
        with_data["data"] = json!("");
        self.push("data", MANIFEST, &image_of(&config, &[with_data]));

        let config = self.config(Algorithm::Sha256, "nondistributable");
        let foreign = json!({
            "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "digest": digest(Algorithm::Sha256, b"a layer that registries do not hand out"),
            "size": 39,
            "urls": ["https://store.example/layer.tar"],
        });
        self.push("nondistributable", MANIFEST, &image_of(&config, &[plain.clone(), foreign]));

        let config = self.config(Algorithm::Sha256, "custom");
        let mut custom = image_of(&config, &[plain]);
        custom["x-custom"] = json!({ "nested": [1, 2.5, null, "ü"] });
        custom["config"]["x-custom"] = json!(true);
        self.push("custom-fields", MANIFEST, &custom);

        let config = self.config(Algorithm::Sha256, "no layers");
        self.push("no-layers", MANIFEST, &image_of(&config, &[]));
        let empty_layer = Blob::new(Algorithm::Sha256, LAYER, Vec::new()).descriptor();
        self.subject = self.push("empty-blob", MANIFEST, &image_of(&config, &[empty_layer]));
        Ok(())
    }

    fn indexes(&mut self) {
        let listed: Vec<Value> = (self.tagged.iter().take(1))
            .map(|(_, manifest)| {
                let mut descriptor = manifest.descriptor();
                descriptor["platform"] = json!({ "architecture": "amd64", "os": "linux" });
                descriptor
            })
            .collect();
        let index = self.push("index", INDEX, &index_of(&listed));
        self.push("nested-index", INDEX, &index_of(&[index.descriptor()]));
        self.push("empty-index", INDEX, &index_of(&[]));
        let mut artifact_index = index_of(&listed);
        artifact_index["artifactType"] = json!(FIRST_TYPE);
        self.push("artifact-index", INDEX, &artifact_index);
    }

    fn artifacts(&mut self, empty_json: &Blob, payload: &Blob) {
        let (config, payload) = (empty_json.descriptor(), payload.descriptor());
        let mut artifact = image_of(&config, from_ref(&payload));
        artifact["artifactType"] = json!(FIRST_TYPE);
        self.push("artifact", MANIFEST, &artifact);
        let mut without_layers = image_of(&config, &[]);
        without_layers["artifactType"] = json!(SECOND_TYPE);
        self.push("artifact-without-layers", MANIFEST, &without_layers);

        let subject = self.subject.descriptor();
        for (tag, kind) in [
            ("referrer-one", FIRST_TYPE),
            ("referrer-two", FIRST_TYPE),
            ("referrer-alt", SECOND_TYPE),
        ] {
            let mut referrer = image_of(&config, from_ref(&payload));
            referrer["artifactType"] = json!(kind);
            referrer["annotations"] = json!({ "org.example.name": tag, "org.example.empty": "" });
            self.refer(tag, MANIFEST, &subject, referrer, kind);
        }
        // An image that refers to another one: its kind is its configuration's type.
        let image_config = self.config(Algorithm::Sha256, "referring image");
        let referrer = image_of(&image_config, from_ref(&payload));
        self.refer("referrer-image", MANIFEST, &subject, referrer, CONFIG);
        let mut index = index_of(&[]);
        index["artifactType"] = json!(SECOND_TYPE);
        self.refer("referrer-index", INDEX, &subject, index, SECOND_TYPE);

        let missing = json!({ "mediaType": MANIFEST, "digest": self.missing_subject, "size": 33 });
        let mut referrer = image_of(&config, &[payload]);
        referrer["artifactType"] = json!(FIRST_TYPE);
        self.refer("referrer-of-missing", MANIFEST, &missing, referrer, FIRST_TYPE);
    }

    fn refer(
        &mut self,
        tag: &str,
        media_type: &str,
        subject: &Value,
        mut content: Value,
        kind: &str,
    ) {
        content["subject"] = subject.clone();
        let mut descriptor = self.push(tag, media_type, &content).descriptor();
        descriptor["artifactType"] = json!(kind);
        if let Some(annotations) = content.get("annotations") {
            descriptor["annotations"] = annotations.clone();
        }
        self.referrers
            .push((subject["digest"].as_str().unwrap_or_default().to_owned(), descriptor));
    }
}

fn image_of(config: &Value, layers: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers })
}

fn index_of(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}
