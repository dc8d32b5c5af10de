//! Real clients, with a password, with a wrong one, and without.

use std::process::Command;

use anyhow::Result;
use landbridge_testkit::image::{Image, Recipe};
use landbridge_testkit::{Buildah, Containerd, Dockerd, Login, Platforms, Podman, Skopeo, run};

use super::{ANN, Place, ROOT, WRONG, auth_file};
use crate::running::LIMIT;

const NOTHING: Vec<String> = Vec::new();

fn image(seed: u64) -> Image {
    Recipe { seed, ..Recipe::default() }.pack().unwrap()
}

/// What a client says that is refused.
#[track_caller]
fn refusal<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => format!("{error:#}"),
    }
}

fn logged_in(command: &mut Command, login: Login, address: &str) -> Result<()> {
    command.args(["--username", login.user, "--password", login.password, address]);
    run(command, LIMIT).map(drop)
}

#[test]
fn skopeo_pushes_pulls_and_deletes_as_the_rules_allow() {
    let place = Place::new().unwrap();
    let origin = place.start().unwrap();
    let (skopeo, image) = (Skopeo::new().unwrap(), image(70));
    let push = |name: &str, login| {
        skopeo.push_to(&image.manifest, &[&image], &origin.reference(name), login)
    };
    let pull = |name: &str, login: Option<Login>| {
        let mut command = skopeo.command()?;
        command.args(["inspect", "--tls-verify=false"]);
        if let Some(Login { user, password }) = login {
            command.arg(format!("--creds={user}:{password}"));
        }
        run(command.arg(format!("docker://{}", origin.reference(name))), LIMIT)
    };
    push("team/app:v1", Some(ANN)).unwrap();
    push("open/app:v1", Some(ANN)).unwrap();
    push("private/app:v1", Some(ROOT)).unwrap();

    for login in [Some(WRONG), Some(Login { user: "eve", ..ANN })] {
        let refused = refusal(push("team/app:v2", login));
        assert!(refused.contains("the credential is not right"), "{refused}");
    }
    let refused = refusal(push("open/app:v2", None));
    assert!(refused.contains("unauthorized"), "{refused}");
    // The password is right, the rules say no.
    let refused = refusal(push("private/app:v2", Some(ANN)));
    assert!(refused.contains("403"), "{refused}");
    let refused = refusal(pull("private/app:v1", Some(ANN)));
    assert!(refused.contains("denied"), "{refused}");

    pull("open/app:v1", None).unwrap();
    pull("team/app:v1", Some(ANN)).unwrap();
    pull("private/app:v1", Some(ROOT)).unwrap();
    let refused = refusal(pull("team/app:v1", None));
    assert!(refused.contains("unauthorized") || refused.contains("401"), "{refused}");
    // Whether there is such a repository makes no difference.
    let unknown = refusal(pull("team/none:v1", None));
    let timeless = |text: &str| text.split_once("level=").unwrap().1.to_owned();
    assert_eq!(timeless(&refused.replace("team/app", "team/none")), timeless(&unknown));

    let anonymous = skopeo.pull(&origin.reference("open/app:v1"), Platforms::One).unwrap();
    assert_eq!((&anonymous.digest, anonymous.lacks(&image)), (&image.manifest.digest, NOTHING));

    let delete = |login: Login| {
        let mut command = skopeo.command()?;
        command.args(["delete", "--tls-verify=false"]);
        command.arg(format!("--creds={}:{}", login.user, login.password));
        run(command.arg(format!("docker://{}", origin.reference("team/app:v1"))), LIMIT)
    };
    refusal(delete(ANN));
    pull("team/app:v1", Some(ANN)).unwrap();
    delete(ROOT).unwrap();
    refusal(pull("team/app:v1", Some(ANN)));
    origin.stop().unwrap();
}

#[test]
fn podman_logs_in_pushes_and_pulls() {
    let place = Place::new().unwrap();
    let origin = place.start().unwrap();
    let (skopeo, podman, image) = (Skopeo::new().unwrap(), Podman::new().unwrap(), image(71));
    let open = origin.reference("open/app:v1");
    skopeo.push_to(&image.manifest, &[&image], &open, Some(ANN)).unwrap();
    assert_eq!(podman.pull(&open).unwrap().lacks(&image), NOTHING, "nobody may pull this");
    let team = origin.reference("team/app:v1");
    refusal(podman.push(&open, &team));

    let login = |login| {
        let mut command = podman.command()?;
        logged_in(command.args(["login", "--tls-verify=false"]), login, &origin.address)
    };
    let refused = refusal(login(WRONG));
    assert!(refused.contains("invalid username/password"), "{refused}");
    login(ANN).unwrap();
    podman.push(&open, &team).unwrap();
    podman.pull(&team).unwrap();
    assert_eq!(podman.run(&team, &[]).unwrap(), image.greeting);
    let refused = refusal(podman.push(&open, &origin.reference("private/app:v1")));
    assert!(refused.contains("403") || refused.contains("denied"), "{refused}");
}

#[test]
fn buildah_logs_in_pushes_and_pulls() {
    let place = Place::new().unwrap();
    let origin = place.start().unwrap();
    let (skopeo, buildah, image) = (Skopeo::new().unwrap(), Buildah::new().unwrap(), image(74));
    let open = origin.reference("open/app:v1");
    skopeo.push_to(&image.manifest, &[&image], &open, Some(ANN)).unwrap();
    assert_eq!(buildah.pull(&open).unwrap().lacks(&image), NOTHING, "nobody may pull this");
    let team = origin.reference("team/app:v1");
    refusal(buildah.push(&open, &team));
    let login = |login| {
        let mut command = buildah.command()?;
        logged_in(command.args(["login", "--tls-verify=false"]), login, &origin.address)
    };
    refusal(login(WRONG));
    login(ANN).unwrap();
    buildah.push(&open, &team).unwrap();
    buildah.pull(&team).unwrap();
    refusal(buildah.push(&open, &origin.reference("private/app:v1")));
}

#[test]
fn docker_logs_in_pushes_and_pulls() {
    let place = Place::new().unwrap();
    let origin = place.start().unwrap();
    let (skopeo, dockerd, image) = (Skopeo::new().unwrap(), Dockerd::start().unwrap(), image(72));
    let open = origin.reference("open/app:v1");
    skopeo.push_to(&image.manifest, &[&image], &open, Some(ANN)).unwrap();
    assert_eq!(dockerd.pull(&open).unwrap().lacks(&image), NOTHING, "nobody may pull this");

    let docker = |arguments: &[&str]| run(dockerd.command()?.args(arguments), LIMIT);
    let team = origin.reference("team/app:v1");
    docker(&["tag", &open, &team]).unwrap();
    let refused = refusal(docker(&["push", &team]));
    assert!(refused.contains("a credential is needed") || refused.contains("denied"), "{refused}");
    let login = |login| {
        let mut command = dockerd.command()?;
        logged_in(command.arg("login"), login, &origin.address)
    };
    let refused = refusal(login(WRONG));
    assert!(refused.contains("unauthorized") || refused.contains("401"), "{refused}");
    login(ANN).unwrap();
    docker(&["push", &team]).unwrap();
    docker(&["rmi", &open, &team]).unwrap();
    assert_eq!(dockerd.pull(&team).unwrap().lacks(&image), NOTHING);
    let private = origin.reference("private/app:v1");
    docker(&["tag", &team, &private]).unwrap();
    let refused = refusal(docker(&["push", &private]));
    assert!(refused.contains("denied"), "{refused}");
}

#[test]
fn containerd_pushes_and_pulls_with_a_password() {
    let place = Place::new().unwrap();
    let origin = place.start().unwrap();
    let (skopeo, containerd) = (Skopeo::new().unwrap(), Containerd::start().unwrap());
    let image = image(73);
    let open = origin.reference("open/app:v1");
    skopeo.push_to(&image.manifest, &[&image], &open, Some(ANN)).unwrap();
    assert_eq!(containerd.pull(&open, Platforms::One).unwrap().lacks(&image), NOTHING);

    let ctr = |arguments: &[&str]| run(containerd.command()?.arg("images").args(arguments), LIMIT);
    let user = |login: Login| format!("--user={}:{}", login.user, login.password);
    let team = origin.reference("team/app:v1");
    refusal(ctr(&["push", "--plain-http", &team, &open]));
    refusal(ctr(&["push", "--plain-http", &user(WRONG), &team, &open]));
    ctr(&["push", "--plain-http", &user(ANN), &team, &open]).unwrap();
    refusal(ctr(&["push", "--plain-http", &user(ANN), &origin.reference("private/a:1"), &open]));
    let pull = |login| {
        let user = user(login);
        let plain = ["pull", "--plain-http", "--snapshotter=native", "--platform=linux/amd64"];
        ctr(&[&plain[..], &[&user, &team]].concat())
    };
    refusal(pull(WRONG));
    pull(ANN).unwrap();
    let stored = ctr(&["list", &format!("name=={team}")]).unwrap().text();
    assert!(stored.contains(&image.manifest.digest), "{stored}");
}

#[test]
fn a_changed_password_counts_without_a_signal() {
    let place = Place::new().unwrap();
    let origin = place.start().unwrap();
    let skopeo = Skopeo::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let login = |login| {
        let mut command = skopeo.command()?;
        command.args(["login", "--tls-verify=false", "--authfile"]).arg(auth_file(dir.path()));
        logged_in(&mut command, login, &origin.address)
    };
    login(ANN).unwrap();
    place.set_passwords(&[WRONG, ROOT]).unwrap();
    // The file is looked at once a second.
    crate::running::until(|| Ok(login(WRONG).is_ok()), |is_in| *is_in).unwrap();
    refusal(login(ANN));
}
