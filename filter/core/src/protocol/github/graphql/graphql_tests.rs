use super::*;
use crate::head::Headers;
use crate::operation::Target;
use crate::protocol::github::nodes::Node;
use crate::protocol::tests::{describe, head};
use serde_json::json;

fn judge(body: &Value) -> Result<Vec<Operation>, Fault> {
    let head = head("POST", "/graphql");
    let path = RequestPath::read(&head.path).unwrap();
    operations(&head, &path, body.to_string().as_bytes(), &Nodes::default()).map(|found| found.0)
}

fn described(body: &Value) -> String {
    let operations = judge(body).unwrap_or_else(|fault| panic!("{body}: {fault:?}"));
    let all: Vec<String> = operations.iter().map(describe).collect();
    all.join(" + ")
}

fn document(text: &str) -> String {
    described(&json!({ "query": text }))
}

#[test]
fn a_commit_on_a_branch_shows_repository_branch_and_files() {
    let expected = "content.write acme/web refs/heads/main .github/workflows/ci.yml,old \
                    + ref.update acme/web refs/heads/main .github/workflows/ci.yml,old";
    let input = json!({
        "branch": { "repositoryNameWithOwner": "Acme/Web", "branchName": "main" },
        "message": { "headline": "x" },
        "fileChanges": {
            "additions": [{ "path": ".github/workflows/ci.yml", "contents": "" }],
            "deletions": [{ "path": "old" }],
        },
    });
    let by_variable = json!({
        "query": "mutation M($input: CreateCommitOnBranchInput!) { c: createCommitOnBranch(input: $input) { commit { oid } } }",
        "variables": { "input": input },
    });
    assert_eq!(described(&by_variable), expected);
    let by_parts = json!({
        "query": "mutation($b: String = \"main\", $f: FileChanges) { createCommitOnBranch(input: {
            branch: {repositoryNameWithOwner: \"acme/we\\u0062\", branchName: $b}, fileChanges: $f}) { clientMutationId } }",
        "variables": { "f": input["fileChanges"] },
    });
    assert_eq!(described(&by_parts), expected);
    let by_id = json!({
        "query": "mutation($i: I) { createCommitOnBranch(input: $i) { clientMutationId } }",
        "variables": { "i": { "branch": { "id": "R_1", "branchName": "x" } } },
    });
    assert_eq!(described(&by_id), "content.write * * * + ref.update * * *");
}

#[test]
fn every_root_field_is_seen() {
    let two = "deleteRef createRepository";
    for text in [
        "mutation { deleteRef(input: {refId: 1}) { x } r: createRepository(input: {name: \"n\"}) { x } }",
        "mutation { ...on Mutation { deleteRef(input: {}) { x } } ...F } fragment F on Mutation { a: createRepository { x } ...F }",
        "# mutation { addStar }\rmutation { deleteRef { x } , createRepository @skip(if: true) { x } }",
        "query A { viewer { login } } mutation B { deleteRef { x } createRepository { x } }",
    ] {
        let operations = judge(&json!({ "query": text })).unwrap();
        let fields: Vec<&str> = operations
            .iter()
            .filter(|o| o.write)
            .flat_map(|o| &o.aliases)
            .filter_map(|alias| alias.strip_prefix("graphql:"))
            .collect();
        assert_eq!(fields.join(" "), two, "{text}");
    }
}

#[test]
fn the_named_operation_is_the_one_that_counts() {
    let text = "query A { viewer { login } } mutation B { archiveRepository(input: {}) { x } }";
    let with = |name: Value| described(&json!({ "query": text, "operationName": name }));
    assert_eq!(with(json!("A")), "github.read - - -");
    assert_eq!(with(json!("B")), "repo.archive * - -");
    for all in [json!(null), json!(""), json!("C")] {
        assert_eq!(with(all), "github.read - - - + repo.archive * - -");
    }
}

#[test]
fn risky_mutations_have_the_names_of_rest() {
    for (text, expected) in [
        (
            "mutation { updateRefs(input: {refUpdates: [{name: \"refs/heads/main\", afterOid: \"1\"}, {name: \"refs/heads/x\", afterOid: \"000\"}]}) { x } }",
            "ref.update * refs/heads/main - + ref.delete * refs/heads/x -",
        ),
        (
            "mutation { updateRefs(input: {refUpdates: []}) { x } }",
            "ref.update * * -",
        ),
        (
            "mutation { createRef(input: {name: \"refs/heads/n\", repositoryId: 1}) { x } }",
            "ref.create * refs/heads/n -",
        ),
        (
            "mutation { updateRef(input: {refId: 1, force: true}) { x } }",
            "ref.update * * -",
        ),
        (
            "mutation { mergeBranch(input: {base: \"main\", head: \"x\"}) { x } }",
            "ref.update * refs/heads/main -",
        ),
        (
            "mutation { mergePullRequest(input: {}) { x } }",
            "pr.merge * * -",
        ),
        (
            "mutation { addPullRequestReview(input: {event: APPROVE}) { x } }",
            "pr.review * * - + pr.approve * * -",
        ),
        (
            "mutation { addPullRequestReview(input: {event: COMMENT}) { x } }",
            "pr.review * * -",
        ),
        (
            "mutation { deleteBranchProtectionRule(input: {}) { x } }",
            "protection.delete * * -",
        ),
        (
            "mutation { somethingNew(input: {}) { x } }",
            "github.unknown_write * * *",
        ),
        ("subscription { x }", "github.unknown_write * * *"),
        (
            "mutation { mergeBranch(input: {base: \"\"\"\n    main\n  \"\"\"}) { x } }",
            "ref.update * refs/heads/main -",
        ),
        (
            "mutation { mergeBranch(input: {base: \"\\u{6d}\\u0061in\"}) { x } }",
            "ref.update * refs/heads/main -",
        ),
        // What is not plainly readable is any.
        (
            "mutation { mergeBranch(input: {base: 1}) { x } }",
            "ref.update * * -",
        ),
    ] {
        assert_eq!(document(text), expected, "{text}");
    }
}

#[test]
fn every_mutation_of_githubs_schema_has_a_name() {
    let lines: Vec<&str> = table::lines().collect();
    assert_eq!(lines.len(), 247);
    for line in lines {
        let row = table::row(line).unwrap_or_else(|| panic!("mutations.txt: {line}"));
        let text = format!(
            "mutation {{ {}(input: {{}}) {{ clientMutationId }} }}",
            row.field
        );
        let operations = judge(&json!({ "query": text })).unwrap();
        assert_eq!(operations[0].name, row.name);
        assert_ne!(row.name, "github.unknown_write");
        for operation in &operations {
            assert!(
                operation
                    .aliases
                    .contains(&format!("graphql:{}", row.field))
            );
            assert!(operation.write || operation.name.ends_with(".read"));
            // Nothing is known of an empty input: what could be anybody's must not look like nobody's.
            let nobodys = operation.owner() == Target::None;
            assert_eq!(nobodys, row.places.is_empty(), "{line}");
        }
    }
}

#[test]
fn queries_are_reads() {
    assert_eq!(
        document("query { repository(owner: \"Acme\", name: \"web\") { id } viewer { login } }"),
        "repo.read acme/web - - + github.read - - -"
    );
    assert_eq!(document("{ node(id: 1) { id } }"), "repo.read * - -");
    assert_eq!(
        document("{ search(query: \"x\", type: REPOSITORY, first: 1) { nodes { id } } }"),
        "search.read * - -"
    );
    let batch = json!([{ "query": "{ viewer { login } }" }, { "query": "mutation { addStar(input: {}) { x } }" }]);
    assert_eq!(described(&batch), "github.read - - - + user.star * - -");
}

#[test]
fn what_does_not_read_is_undecided() {
    let cases = [
        json!({ "query": "mutation { deleteRef(" }),
        json!({ "query": "mutation { deleteRef } }" }),
        json!({ "query": "" }),
        json!({ "query": "fragment F on Mutation { deleteRef }" }),
        json!({ "query": "mutation { ...Missing }" }),
        json!({ "query": "fragment F on Q { a } fragment F on Q { b } query { ...F }" }),
        json!({ "query": "type Query { a: Int }" }),
        json!({ "query": "mutation { createRef(input: {name: \"a\", name: \"b\"}) { x } }" }),
        json!({ "query": "mutation { createRef(input: {}, input: {}) { x } }" }),
        json!({ "query": 1 }),
        json!({ "id": "persisted" }),
        json!({ "documentId": "persisted", "query": "{ a }" }),
        json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "0" } } }),
        json!({ "query": "{ a }", "extensions": { "persistedQuery": { "version": 1 } } }),
        json!({ "query": "mutation { createRef(input: {name: \"\\uD83D\"}) { x } }" }),
        json!({ "query": format!("{{ a(b: {}1{}) }}", "[".repeat(300), "]".repeat(300)) }),
        json!({ "query": "{ a }", "variables": [1] }),
        json!({ "query": "{ a }", "variables": "{\"a\":1,\"a\":2}" }),
        json!([]),
        json!("x"),
        json!({ "query": format!("{{ {} }}", "a { ".repeat(200) + "b" + &" }".repeat(200)) }),
    ];
    for body in cases {
        let fault = judge(&body).unwrap_err();
        assert_eq!(fault.reason, Reason::BodyUnreadable, "{body}");
    }
    let many: String = (0..600)
        .map(|n| format!("a{n}: addStar {{ x }} "))
        .collect();
    let fault = judge(&json!({ "query": format!("mutation {{ {many} }}") })).unwrap_err();
    assert_eq!(fault.reason, Reason::BodyTooLarge);
    let beside = head("POST", "/graphql?operationName=B");
    let path = RequestPath::read(&beside.path).unwrap();
    let fault = operations(&beside, &path, b"{\"query\":\"{a}\"}", &Nodes::default()).unwrap_err();
    assert_eq!(fault.reason, Reason::PathAmbiguous);
}

#[test]
fn a_get_is_read_from_its_query() {
    let judge = |target: &str| {
        let head = RequestHead {
            headers: Headers::default(),
            ..head("GET", target)
        };
        let path = RequestPath::read(target).unwrap();
        operations(&head, &path, b"", &Nodes::default()).unwrap().0
    };
    let operations = judge("/graphql?query=mutation%7BdeleteRef%7Bx%7D%7D");
    assert_eq!(operations[0].name, "ref.delete");
    assert_eq!(judge("/graphql")[0].name, "github.read");
}

#[test]
fn a_get_with_a_second_document_is_undecided() {
    for (target, body) in [
        (
            "/graphql?query=%7Ba%7D",
            "{\"query\":\"mutation{deleteRef{x}}\"}",
        ),
        ("/graphql?extensions=%7B%22persistedQuery%22:%7B%7D%7D", ""),
        ("/graphql?query=%7Ba%7D&documentId=1", ""),
    ] {
        let head = head("GET", target);
        let path = RequestPath::read(target).unwrap();
        let fault = operations(&head, &path, body.as_bytes(), &Nodes::default()).unwrap_err();
        assert_eq!(fault.reason, Reason::BodyUnreadable, "{target}");
    }
}

/// Depth is bounded before anything recurses: a worker's stack in Envoy is one megabyte.
#[test]
fn no_document_reaches_the_end_of_the_stack() {
    let run = || {
        for text in [
            "{ a ".repeat(100_000),
            "{ ... ".repeat(100_000),
            format!("{{ a(b: {}", "[".repeat(100_000)),
            format!("{{ a(b: {}", "{a: ".repeat(100_000)),
            format!("query($a: {}", "[".repeat(100_000)),
            format!(
                "query($a: {}Int{}) {{ a }}",
                "[".repeat(190),
                "]".repeat(190)
            ),
            format!("{{ {} b {} }}", "a { ".repeat(90), "} ".repeat(90)),
            format!("{{ a(b: {}1{}) }}", "{a: [".repeat(90), "]}".repeat(90)),
        ] {
            let _ = judge(&json!({ "query": text }));
        }
    };
    let small = std::thread::Builder::new().stack_size(400 * 1024);
    small.spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_default_that_is_used_often_is_not_copied() {
    let long = format!("[{}]", "1,".repeat(20_000));
    let uses = "$a ".repeat(8_000);
    let text = format!("query($a: [Int] = {long}) {{ f(x: [{uses}]) }}");
    assert_eq!(document(&text), "github.read * - -");
}

/// What a query reads: `!` where it leaves what it names.
fn reads(text: &str) -> String {
    let body = json!({ "query": text });
    let operations = judge(&body).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    let show = |target: &Target| match target {
        Target::Known(name) => name.clone(),
        Target::Any => "*".to_owned(),
        Target::None => "-".to_owned(),
    };
    let all: Vec<String> = operations
        .iter()
        .map(|o| format!("{} {} {}", o.name, show(&o.repo), show(&o.owner())))
        .collect();
    all.join(" + ")
}

#[test]
fn a_query_that_stays_in_its_repository_is_a_reading_of_it_alone() {
    for selection in [
        "id name description isPrivate forkCount",
        "defaultBranchRef { name target { ... on Commit { history(first: 9) { nodes { message author { name email user { login } } } } } } }",
        "object(expression: \"HEAD:x\") { ... on Blob { text } ... on Tree { entries { name object { ... on Blob { text } } } } }",
        "pullRequests(first: 9) { nodes { title body author { login ... on User { name } } headRepository { id name } headRepositoryOwner { login } comments { nodes { body } } } }",
        "issue(number: 1) { title body labels { nodes { name color description } } assignees { nodes { login } } projectItems { nodes { project { title } } } }",
        "parent { id name owner { login } } owner { login id } licenseInfo { name body } repositoryTopics { nodes { topic { name } } }",
        "...F } } fragment F on Repository { ...G } fragment G on Repository { pullRequest(number: 1) { files { nodes { path } } ...F",
    ] {
        let text = format!("{{ r: repository(owner: \"Acme\", name: \"web\") {{ {selection} }} }}");
        assert_eq!(reads(&text), "repo.read acme/web acme", "{text}");
    }
}

#[test]
fn a_query_that_leaves_its_repository_reads_any() {
    for selection in [
        "forks(first: 9) { nodes { nameWithOwner } }",
        "forks(first: 9) { totalCount }",
        "parent { object(expression: \"HEAD:x\") { ... on Blob { text } } }",
        "parent { homepageUrl }",
        "x: parent { name y: object(expression: \"HEAD:x\") { ... on Blob { oid text } } }",
        "templateRepository { defaultBranchRef { target { ... on Commit { message } } } }",
        "owner { ... on User { repositories(first: 9) { nodes { name } } } }",
        "owner { ... on Organization { repository(name: \"y\") { homepageUrl } } }",
        "pullRequest(number: 1) { headRepository { object(expression: \"HEAD:x\") { ... on Blob { text } } } }",
        "pullRequest(number: 1) { headRef { target { ... on Commit { file(path: \"x\") { object { ... on Blob { text } } } } } } }",
        "pullRequest(number: 1) { author { ... on User { issues(first: 9) { nodes { title } } } } }",
        "pullRequest(number: 1) { closingIssuesReferences { nodes { body } } }",
        "issue(number: 1) { parent { title } }",
        "issue(number: 1) { timelineItems(first: 9) { nodes { ... on CrossReferencedEvent { source { ... on Issue { body } } } } } }",
        "dependencyGraphManifests { nodes { dependencies { nodes { repository { homepageUrl } } } } }",
        "repositoryTopics { nodes { topic { repositories(first: 9) { nodes { name } } } } }",
        "somethingNew { secret }",
        "...F } } fragment F on Repository { stargazers { nodes { starredRepositories { nodes { name } } }",
    ] {
        let text = format!("{{ repository(owner: \"acme\", name: \"web\") {{ {selection} }} }}");
        assert_eq!(
            reads(&text),
            "repo.read acme/web acme + repo.read * *",
            "{text}"
        );
    }
}

#[test]
fn every_root_tells_whose_it_is() {
    for (text, expected) in [
        (
            "{ organization(login: \"Acme\") { name } }",
            "github.read - acme",
        ),
        (
            "{ organization(login: \"acme\") { repository(name: \"web\") { description } } }",
            "github.read - acme + repo.read acme/web acme",
        ),
        (
            "{ repositoryOwner(login: \"acme\") { repositories(first: 9, ownerAffiliations: OWNER) { nodes { name description } } } }",
            "github.read - acme + repo.read * acme",
        ),
        (
            "{ repositoryOwner(login: \"acme\") { repositories(first: 9) { nodes { name } } } }",
            "github.read - acme + repo.read * acme + repo.read * *",
        ),
        (
            "{ organization(login: \"acme\") { membersWithRole { nodes { login repositories { nodes { name } } } } } }",
            "github.read - acme + repo.read * *",
        ),
        (
            "{ organization(login: \"acme\") { projectV2(number: 1) { title items { nodes { content { ... on Issue { body } } } } } } }",
            "github.read - acme + repo.read * *",
        ),
        (
            "{ viewer { login organizations { nodes { login } } } }",
            "github.read - -",
        ),
        (
            "{ viewer { repositories { nodes { name } } } }",
            "github.read - - + repo.read * *",
        ),
        (
            "{ viewer { repository(name: \"x\") { description } } }",
            "github.read - - + repo.read * *",
        ),
        (
            "{ viewer { gists { nodes { files { text } } } } }",
            "github.read - - + repo.read * *",
        ),
        ("{ enterprise(slug: \"e\") { name } }", "github.read - *"),
        ("{ node(id: \"R_1\") { id } }", "repo.read * *"),
        ("{ nodes(ids: [\"R_1\", \"R_2\"]) { id } }", "repo.read * *"),
        (
            "{ resource(url: \"https://github.com/Acme/web/pull/1\") { ... on PullRequest { body } } }",
            "repo.read acme/web acme",
        ),
        (
            "{ resource(url: \"https://github.com/orgs/acme/projects\") { url } }",
            "repo.read * *",
        ),
        (
            "{ resource(url: \"https://github.com/acme/web/../../evil/x\") { url } }",
            "repo.read * *",
        ),
        (
            "{ resource(url: \"https://github.com/acme/%77eb\") { url } }",
            "repo.read * *",
        ),
        (
            "{ search(query: \"x\", type: ISSUE) { nodes { ... on Issue { body } } } }",
            "search.read * *",
        ),
        (
            "{ relay { repository(owner: \"a\", name: \"b\") { homepageUrl } } }",
            "github.read * * + repo.read * *",
        ),
        (
            "{ sponsorables { nodes { ... on User { issues { nodes { title } } } } } }",
            "github.read * * + repo.read * *",
        ),
        ("{ licenses { name body } }", "github.read - -"),
        (
            "{ topic(name: \"x\") { name relatedTopics { name } } }",
            "github.read - -",
        ),
        (
            "{ topic(name: \"x\") { repositories { nodes { name } } } }",
            "github.read - - + repo.read * *",
        ),
        ("{ somethingNew { x } }", "github.read * * + repo.read * *"),
        ("{ __schema { types { name } } }", "github.read - -"),
    ] {
        assert_eq!(reads(text), expected, "{text}");
    }
}

#[test]
fn what_a_mutation_answers_is_read_too() {
    let text = |selection: &str| {
        format!("mutation {{ addStar(input: {{starrableId: \"R_1\"}}) {{ {selection} }} }}")
    };
    assert_eq!(
        reads(&text("clientMutationId starrable { id }")),
        "user.star * *"
    );
    assert_eq!(
        reads(&text(
            "starrable { ... on Repository { object(expression: \"HEAD:x\") { ... on Blob { text } } } }"
        )),
        "user.star * * + repo.read * *"
    );
}

#[test]
fn the_lists_of_names_are_sorted_and_the_table_reads() {
    assert!(reach::table().len() > 170);
    assert!(reach::lists_are_sorted());
}

/// What `gh` 2.23.0 sends for its everyday commands, taken from the program itself. All of it is
/// provably in one organisation, once an answer has told the ids.
#[test]
fn what_gh_asks_stays_in_its_organisation() {
    const SEEN: &str = include_str!("../../../../../../testdata/github/gh-2.23.0.jsonl");
    const IDS: [&str; 5] = [
        "PR_kwDO0010010002",
        "I_kwDO0010010001",
        "LA_1",
        "R_kgDO001001",
        "R_kgDO001002",
    ];
    let node = |id: &&str| {
        let repo = if *id == "R_kgDO001002" {
            "acme/api"
        } else {
            "acme/web"
        };
        let node = Node {
            repo: repo.to_owned(),
            reference: None,
        };
        ((*id).to_owned(), node)
    };
    let nodes = Nodes::new(IDS.iter().map(node).collect());
    let mut commands = 0;
    for line in SEEN.lines() {
        let seen: Value = serde_json::from_str(line).unwrap();
        let command = seen["command"].as_str().unwrap();
        let head = head("POST", "/graphql");
        let path = RequestPath::read(&head.path).unwrap();
        let body = seen["body"].to_string();
        let (operations, _) = operations(&head, &path, body.as_bytes(), &nodes)
            .unwrap_or_else(|fault| panic!("{command}: {fault:?}"));
        for operation in &operations {
            // Whose account a new repository goes to is an id of no repository.
            let ours = match operation.owner() {
                Target::Known(owner) => owner == "acme",
                Target::None => operation.name == "github.read",
                Target::Any => operation.name == "repo.create",
            };
            assert!(ours, "{command}: {operation:?}");
        }
        commands += 1;
    }
    assert!(commands > 30);
}
