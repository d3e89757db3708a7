//! The real `git` against a real listener.

#[cfg(test)]
mod git {
    use std::path::Path;
    use std::process::{Command, Output};

    use simulated_upstream::{Settings, Upstream, app, server};
    use tempfile::TempDir;

    const CREDENTIAL: &str = "ghs_for_these_tests";

    struct Bench {
        url: String,
        folder: TempDir,
    }

    async fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::open(Settings {
            data: folder.path().join("data"),
            credential: CREDENTIAL.into(),
            public_url: None,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(server::serve(listener, app(upstream.unwrap()), None));
        Bench { url, folder }
    }

    impl Bench {
        async fn git(&self, folder: &str, arguments: &[&str]) -> Output {
            self.git_as(CREDENTIAL, folder, arguments).await
        }

        async fn git_as(&self, credential: &str, folder: &str, arguments: &[&str]) -> Output {
            let mut command = Command::new("git");
            command
                .current_dir(self.folder.path().join(folder))
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_TERMINAL_PROMPT", "0")
                .env("NO_PROXY", "127.0.0.1")
                .args([
                    "-c",
                    "user.name=Tester",
                    "-c",
                    "user.email=tester@acme.example",
                ])
                .args([
                    "-c",
                    &format!("http.extraHeader=Authorization: Bearer {credential}"),
                ])
                .args(arguments);
            tokio::task::spawn_blocking(move || command.output().unwrap())
                .await
                .unwrap()
        }

        async fn done(&self, folder: &str, arguments: &[&str]) -> String {
            let output = self.git(folder, arguments).await;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "git {arguments:?}: {text}");
            String::from_utf8(output.stdout).unwrap() + &text
        }

        async fn commit(&self, file: &str, bytes: &[u8]) {
            std::fs::write(self.folder.path().join("web").join(file), bytes).unwrap();
            self.done("web", &["add", "."]).await;
            self.done("web", &["commit", "--quiet", "-m", file]).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn clone_push_and_delete() {
        let bench = bench().await;
        let remote = format!("{}/acme/web.git", bench.url);
        bench.done("", &["clone", "--quiet", &remote, "web"]).await;
        assert!(
            bench
                .folder
                .path()
                .join("web/.github/workflows/ci.yml")
                .exists()
        );
        bench
            .done("web", &["checkout", "--quiet", "-b", "feature/one"])
            .await;
        bench.commit("one.txt", b"one").await;
        bench
            .done("web", &["push", "--quiet", "origin", "feature/one"])
            .await;
        bench
            .done("web", &["push", "--quiet", "origin", "feature/one:main"])
            .await;
        bench
            .done("web", &["push", "--quiet", "origin", ":feature/one"])
            .await;
        let refs = bench.done("web", &["ls-remote", "origin"]).await;
        assert!(!refs.contains("refs/heads/feature/one"), "{refs}");
        bench
            .done("", &["clone", "--quiet", &remote, "again"])
            .await;
        assert!(bench.folder.path().join("again/one.txt").exists());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_big_pack_is_streamed_both_ways() {
        let bench = bench().await;
        let remote = format!("{}/acme/web.git", bench.url);
        bench.done("", &["clone", "--quiet", &remote, "web"]).await;
        // Bytes that do not compress, above git's 1 MiB post buffer: the push has no content-length.
        let mut state = 1u32;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(8 << 20)
        .collect();
        bench.commit("big.bin", &bytes).await;
        bench
            .done("web", &["push", "--quiet", "origin", "HEAD:main"])
            .await;
        bench
            .done("", &["clone", "--quiet", &remote, "again"])
            .await;
        assert!(same(&bench.folder.path().join("again/big.bin"), &bytes));
    }

    fn same(path: &Path, bytes: &[u8]) -> bool {
        std::fs::read(path).unwrap() == bytes
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn without_the_credential_git_asks_for_one() {
        let bench = bench().await;
        let remote = format!("{}/acme/web.git", bench.url);
        let output = bench.git_as("wrong", "", &["ls-remote", &remote]).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && text.contains("could not read Username"),
            "{text}"
        );
        let missing = format!("{}/acme/nothing.git", bench.url);
        let text = String::from_utf8_lossy(&bench.git("", &["ls-remote", &missing]).await.stderr)
            .into_owned();
        assert!(text.contains("not found"), "{text}");
    }
}
