//! Where an origin listens, and what changes while it runs.

use std::fs;

use landbridge_testkit::image::Recipe;
use landbridge_testkit::{Certificate, Platforms, Signal, Skopeo, http, run};

use super::{ANN, Place, ROOT, basic};
use crate::program::landbridge;
use crate::running::{self, LIMIT, OwnOrigin, run_to_end, until};

#[test]
fn without_rules_an_origin_starts_on_loopback_only_and_with_them_anywhere() {
    let place = Place::new().unwrap();
    let file = place.path("landbridge.yaml");
    fs::write(&file, "origin: {store: bucket, listen: {address: \"0.0.0.0:0\"}}\n").unwrap();
    let refused = landbridge(&["origin".as_ref(), "--config".as_ref(), file.as_os_str()]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let last = refused.stderr.lines().last().unwrap();
    assert!(last.contains("0.0.0.0:0") && last.contains("`origin.access.rules`"), "{last}");

    let file = place.write("", "  listen: {address: \"0.0.0.0:0\"}\n").unwrap();
    let open = OwnOrigin::start(running::landbridge().args(["origin", "--config"]).arg(&file));
    let open = open.unwrap();
    open.wait_for("passwords and tokens can be read on their way").unwrap();
    let port = open.address.rsplit_once(':').unwrap().1.to_owned();
    let here = format!("127.0.0.1:{port}");
    assert_eq!(http::get(&here, "/v2/").unwrap().status, 401);
    let ann = basic(ANN);
    let let_in = http::ask(&here, "GET", "/v2/", &[("Authorization", ann.as_str())]).unwrap();
    assert_eq!(let_in.status, 200);
    open.stop().unwrap();

    let anyone = "    rules: [{who: [anyone], repositories: [\"*\"], may: [push]}]\n";
    let file = place.write_with(anyone, "  listen: {address: \"0.0.0.0:0\"}\n").unwrap();
    let open = OwnOrigin::start(running::landbridge().args(["origin", "--config"]).arg(&file));
    open.unwrap().wait_for("whoever reaches this origin may push or delete").unwrap();

    // Behind a proxy that speaks TLS, or with a certificate, nobody is warned.
    let proxy = "    tokens: {url: \"https://registry.example.org\", key: token.pem}\n";
    let file = place.write(proxy, "  listen: {address: \"0.0.0.0:0\"}\n").unwrap();
    let open = OwnOrigin::start(running::landbridge().args(["origin", "--config"]).arg(&file));
    let open = open.unwrap();
    let port = open.address.rsplit_once(':').unwrap().1.to_owned();
    let refused = http::get(&format!("127.0.0.1:{port}"), "/v2/").unwrap();
    assert_eq!(
        refused.header("www-authenticate"),
        Some(
            "Bearer realm=\"https://registry.example.org/token\",service=\"registry.example.org\""
        )
    );
    let log = open.stop().unwrap();
    assert!(!log.contains("can be read on their way") && !log.contains("whoever reaches"), "{log}");
    assert!(place.path("token.pem").exists() && place.path("token.pem.pub").exists());
}

#[test]
fn what_an_origin_cannot_use_is_code_2_with_its_name() {
    let place = Place::new().unwrap();
    fs::write(place.path("htpasswd"), "ann:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=\n").unwrap();
    let start = |file: &std::path::Path| {
        let mut command = running::landbridge();
        command.args(["origin", "--listen", "127.0.0.1:0", "--config"]).arg(file);
        run_to_end(&mut command).unwrap()
    };
    let refused = start(&place.write("", "").unwrap());
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("htpasswd") && refused.stderr.contains("line 1"));

    place.set_passwords(&[ANN]).unwrap();
    fs::write(place.path("broken.pem"), "no key").unwrap();
    let tls = "  listen: {tls: {certificate: broken.pem, key: broken.pem}}\n";
    for file in
        [place.write("    tokens: {key: broken.pem}\n", "").unwrap(), place.write("", tls).unwrap()]
    {
        let refused = start(&file);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains("broken.pem"), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
}

#[test]
fn a_signal_takes_other_rules_and_refuses_writes_and_bad_rules_change_nothing() {
    let place = Place::new().unwrap();
    let origin = place.start().unwrap();
    let image = Recipe { seed: 91, ..Recipe::default() }.pack().unwrap();
    let skopeo = Skopeo::new().unwrap();
    let push = |name: &str, login| {
        skopeo.push_to(&image.manifest, &[&image], &origin.reference(name), Some(login))
    };
    push("team/app:v1", ANN).unwrap();
    let (ann, root) = (basic(ANN), basic(ROOT));
    let get = |who: &str| {
        let headers = [("Authorization", who)];
        http::ask(&origin.address, "GET", "/v2/team/app/manifests/v1", &headers)
    };
    // A token that was given out before the rules change is good until it ends.
    let token = |scope: &str| {
        let target = format!("/token?scope={scope}");
        let answer =
            http::ask(&origin.address, "GET", &target, &[("Authorization", ann.as_str())]).unwrap();
        format!("Bearer {}", answer.json().unwrap()["token"].as_str().unwrap())
    };
    let ticket = token("repository:team/app:pull");
    assert_eq!(get(&ann).unwrap().status, 200);

    let rules = "    rules: [{who: [\"user:root\"], repositories: [\"*\"], may: [push, delete]}]\n";
    place.write_with(rules, "  writes: refused\n").unwrap();
    origin.signal(Signal::HUP).unwrap();
    until(|| get(&ann), |answer| answer.status == 403).unwrap();
    assert_eq!((get(&root).unwrap().status, get(&ticket).unwrap().status), (200, 200));
    let refused = push("team/app:v2", ROOT).unwrap_err().to_string();
    assert!(refused.contains("read-only") || refused.contains("405"), "{refused}");
    let headers = [("Authorization", root.as_str())];
    let target = "/v2/team/app/manifests/v1";
    let refused = http::ask(&origin.address, "DELETE", target, &headers).unwrap();
    assert_eq!((refused.status, refused.error_code().as_deref()), (405, Some("UNSUPPORTED")));

    let unknown = "    rules: [{who: [\"oidc:ci:x\"], repositories: [\"*\"], may: [push]}]\n";
    place.write_with(unknown, "").unwrap();
    origin.signal(Signal::HUP).unwrap();
    origin.wait_for("there is no issuer `ci`").unwrap();
    assert_eq!((get(&root).unwrap().status, get(&ann).unwrap().status), (200, 403));
    place.write("", "  clients: {burst: 7}\n").unwrap();
    origin.signal(Signal::HUP).unwrap();
    origin.wait_for("`origin.clients` can only be changed by a restart").unwrap();
    assert_eq!(get(&ann).unwrap().status, 403);

    place.write("", "").unwrap();
    origin.signal(Signal::HUP).unwrap();
    until(|| get(&ann), |answer| answer.status == 200).unwrap();
    push("team/app:v2", ANN).unwrap();
}

#[test]
fn origins_with_one_key_believe_one_another_s_tokens_and_others_do_not() {
    let place = Place::new().unwrap();
    let ann = basic(ANN);
    let status = |tokens: &str| {
        let file = place.write(tokens, "").unwrap();
        let [first, second] = [(); 2].map(|()| OwnOrigin::configured(&file).unwrap());
        let target = "/token?scope=repository:team/app:pull";
        let headers = [("Authorization", ann.as_str())];
        let answer = http::ask(&first.address, "GET", target, &headers).unwrap().json().unwrap();
        let bearer = format!("Bearer {}", answer["token"].as_str().unwrap());
        let headers = [("Authorization", bearer.as_str())];
        let target = "/v2/team/app/tags/list";
        [first, second].map(|it| http::ask(&it.address, "GET", target, &headers).unwrap().status)
    };
    assert_eq!(status("    tokens: {key: token.pem}\n"), [404, 404]);
    assert_eq!(status(""), [404, 401]);
}

#[test]
fn an_origin_speaks_tls() {
    let place = Place::new().unwrap();
    let certificate = Certificate::new().unwrap();
    certificate.install(&place.path("")).unwrap();
    let tls = "  listen: {tls: {certificate: certificate.pem, key: key.pem}}\n";
    let origin = OwnOrigin::configured(&place.write("", tls).unwrap()).unwrap();
    assert_eq!(origin.scheme, "https");
    let image = Recipe { seed: 92, ..Recipe::default() }.pack().unwrap();
    let skopeo = Skopeo::new().unwrap();
    let reference = origin.reference("open/app:v1");
    skopeo.push_to(&image.manifest, &[&image], &reference, Some(ANN)).unwrap();
    let pulled = skopeo.pull(&reference, Platforms::One).unwrap();
    assert_eq!(pulled.lacks(&image), Vec::<String>::new());
    // Whoever checks the certificate finds it right.
    let authorities = place.path("authorities");
    fs::create_dir(&authorities).unwrap();
    let inspect = |believed: &Certificate| {
        fs::copy(believed.chain(), authorities.join("ca.crt"))?;
        let mut command = skopeo.command()?;
        command.args(["inspect", "--cert-dir"]).arg(&authorities);
        run(command.arg(format!("docker://{reference}")), LIMIT)
    };
    inspect(&certificate).unwrap();
    let next = Certificate::new().unwrap();
    inspect(&next).unwrap_err();
    next.install(&place.path("")).unwrap();
    origin.wait_for("a new certificate is in use").unwrap();
    inspect(&next).unwrap();
    inspect(&certificate).unwrap_err();
    // In the clear nothing is answered.
    assert!(http::get(&origin.address, "/v2/").is_err());
    origin.stop().unwrap();
}

#[test]
fn the_rules_of_a_configuration_say_what_a_collection_may_delete() {
    let place = Place::new().unwrap();
    let retention =
        "  gc: {retention: {tags: [{repositories: \"team/**\", tags: \"v*\", keep: 1}]}}\n";
    let file = place.write("", retention).unwrap();
    let origin = OwnOrigin::configured(&file).unwrap();
    let skopeo = Skopeo::new().unwrap();
    for (seed, tag) in [(93, "v1.0.0"), (94, "v1.1.0"), (95, "v1.2.0")] {
        let image = Recipe { seed, ..Recipe::default() }.pack().unwrap();
        let reference = origin.reference(&format!("team/app:{tag}"));
        skopeo.push_to(&image.manifest, &[&image], &reference, Some(ANN)).unwrap();
    }
    let gc = |arguments: &[&str]| {
        let mut command = running::landbridge();
        command.args(["gc", "--json", "--config"]).arg(&file).args(arguments);
        run_to_end(&mut command).unwrap()
    };
    let untagged = |arguments: &[&str]| {
        let planned = gc(arguments);
        assert_eq!(planned.code, Some(0), "{}", planned.stderr);
        let plan: serde_json::Value = serde_json::from_str(&planned.stdout).unwrap();
        plan["untag"].as_array().unwrap().len()
    };
    assert_eq!(untagged(&[]), 2);
    // What the command line says goes before it.
    assert_eq!(untagged(&["--keep", "team/**:v*=2"]), 1);
    let wrong = landbridge(&["gc", "--keep", "team/**", "--data", "no/such/directory"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("--keep `team/**` is no rule"), "{}", wrong.stderr);
}
