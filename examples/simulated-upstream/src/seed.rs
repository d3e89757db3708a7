//! What the organisation holds before anyone has touched it.

use crate::bare::Change;
use crate::organisation::{Issue, NewRepository, Organisation, Repository, now};
use crate::refusal::Outcome;

const WORKFLOW: &str = "\
name: ci
on: [push, pull_request]
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: cargo test --locked
";

type File = (&'static str, &'static str);

const WEB: [&[File]; 2] = [
    &[
        ("README.md", "# web\n\nThe shop window of Acme.\n"),
        (".github/workflows/ci.yml", WORKFLOW),
        (".github/CODEOWNERS", "* @acme/platform-leads\n"),
        (
            "Cargo.toml",
            "[package]\nname = \"web\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        ),
        (
            "src/main.rs",
            "fn main() {\n    println!(\"Welcome to Acme\");\n}\n",
        ),
    ],
    &[(
        "src/greeting.rs",
        "pub fn greeting(name: &str) -> String {\n    format!(\"Welcome to Acme, {name}\")\n}\n",
    )],
];
const API: [&[File]; 2] = [
    &[
        ("README.md", "# api\n\nOrders, prices, stock.\n"),
        (".github/workflows/ci.yml", WORKFLOW),
        (
            "Dockerfile",
            "FROM debian:stable-slim\nCOPY api /usr/local/bin/api\nENTRYPOINT [\"api\"]\n",
        ),
        (
            "src/main.rs",
            "mod routes;\n\nfn main() {\n    routes::serve(8080);\n}\n",
        ),
        (
            "src/routes.rs",
            "pub fn serve(port: u16) {\n    println!(\"listening on {port}\");\n}\n",
        ),
    ],
    &[(
        "openapi.yaml",
        "openapi: 3.1.0\ninfo: { title: Acme API, version: 0.1.0 }\npaths: {}\n",
    )],
];
const DOCS: [&[File]; 2] = [
    &[
        ("README.md", "# docs\n\nHow Acme works.\n"),
        (".github/workflows/ci.yml", WORKFLOW),
        ("src/SUMMARY.md", "# Summary\n\n- [Deploy](deploy.md)\n"),
    ],
    &[(
        "src/deploy.md",
        "# Deploy\n\nMerge to main, then watch the dashboard.\n",
    )],
];

/// Makes `web`, `api` and `docs` where they are missing, each with two commits on main, a feature branch and an issue.
pub fn fill(organisation: &mut Organisation) -> Outcome<()> {
    for (name, description, private, commits) in [
        ("web", "The shop window of Acme", false, &WEB),
        ("api", "Orders, prices, stock", true, &API),
        ("docs", "How Acme works", false, &DOCS),
    ] {
        let new = NewRepository {
            name: name.into(),
            description: description.into(),
            private,
            auto_init: false,
        };
        let (repository, fresh) = organisation.open_or_create(new)?;
        if fresh {
            for (files, message) in commits.iter().zip(["Initial commit", "Second step"]) {
                commit(repository, "main", files, message)?;
            }
            let main = repository.bare.commit("main")?.sha;
            repository
                .bare
                .update_ref("refs/heads/feature/welcome", &main, None)?;
            let text = "What changed, for whom, and since when.\n";
            commit(
                repository,
                "feature/welcome",
                &[("CHANGELOG.md", text)],
                "Begin a changelog",
            )?;
        }
        repository.issues.push(Issue {
            number: 1,
            title: "The front page greets nobody".into(),
            body: "Steps: open the page. Expected: a greeting.".into(),
            closed: false,
            labels: vec!["bug".into()],
            created_at: now(),
        });
    }
    let web = organisation.repository_mut(crate::organisation::ORGANISATION, "web")?;
    // An earlier run may have merged or deleted the branch: then there is nothing to open.
    let _ = web.open_pull(
        "Begin a changelog",
        "So that readers know what changed.",
        "feature/welcome",
        "main",
        false,
    );
    Ok(())
}

fn commit(repository: &Repository, branch: &str, files: &[File], message: &str) -> Outcome<()> {
    let mut changes = Vec::new();
    for (path, text) in files {
        let sha = repository.bare.write_blob(text.as_bytes())?;
        changes.push(Change {
            path: (*path).into(),
            entry: Some(("100644".into(), sha)),
        });
    }
    let author = Some(("Ada Example", "ada@acme.example"));
    repository
        .bare
        .commit_on(branch, &changes, message, author)
        .map(drop)
}
