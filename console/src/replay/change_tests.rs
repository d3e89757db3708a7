//! Tests of what writes change.

use serde_json::json;

use super::*;

#[test]
fn a_contents_write_is_shown_against_the_file_that_was_read() {
    let mut seen = Seen::default();
    let before =
        json!({"path": "a.txt", "sha": "b1", "content": STANDARD.encode("one\ntwo\n") + "\n"});
    seen.note_answer(&before, None);
    let body = json!({"message": "Change", "branch": "main", "sha": "b1", "content": STANDARD.encode("one\n2\n")});
    let path = "/repos/acme/web/contents/dir%2Fa.txt";
    let mut changes = of_rest("PUT", path, &body).unwrap();
    seen.compare(&mut changes);
    let [file] = changes.files.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!(
        (file.repo.as_deref(), file.path.as_str()),
        (Some("acme/web"), "dir/a.txt")
    );
    let diff = file.diff.as_deref().unwrap();
    assert!(
        diff.contains("-two\n+2\n") && diff.contains(" one\n"),
        "{diff}"
    );

    // The blob that this write made is what the next one replaces.
    seen.note_answer(&json!({"content": {"sha": "b2"}}), Some(&changes));
    let body = json!({"sha": "b2", "message": "Gone"});
    let mut gone = of_rest("DELETE", path, &body).unwrap();
    seen.compare(&mut gone);
    assert_eq!(gone.files[0].content, Content::Deleted);
    assert!(gone.files[0].diff.as_deref().unwrap().contains("-2\n"));
}

#[test]
fn a_file_that_was_not_seen_has_no_difference() {
    let body = json!({"sha": "unknown", "content": STANDARD.encode("x")});
    let mut changes = of_rest("PUT", "/api/v3/repos/a/b/contents/f", &body).unwrap();
    Seen::default().compare(&mut changes);
    assert_eq!(changes.files[0].diff, None);
    assert_eq!(changes.files[0].content, Content::Text("x".to_owned()));
}

#[test]
fn trees_tools_and_graphql_name_their_files() {
    let tree = json!({"tree": [
        {"path": "new", "type": "blob", "content": "text"}, {"path": "gone", "type": "blob", "sha": null},
        {"path": "kept", "type": "blob", "sha": "abc"}, {"path": "dir", "type": "tree", "sha": "d"},
    ]});
    let changes = of_rest("POST", "/repos/a/b/git/trees", &tree).unwrap();
    let contents: Vec<&Content> = changes.files.iter().map(|file| &file.content).collect();
    let unknown = Content::Unknown("the blob abc".to_owned());
    assert_eq!(
        contents,
        [
            &Content::Text("text".to_owned()),
            &Content::Deleted,
            &unknown
        ]
    );

    let arguments = json!({"owner": "a", "repo": "b", "branch": "x", "message": "m",
        "files": [{"path": "p", "content": "c"}, {"path": "q"}]});
    let changes = of_tool("github-mcp-server-push_files", &arguments).unwrap();
    assert_eq!(changes.files.len(), 2);
    assert_eq!(changes.files[0].branch.as_deref(), Some("x"));
    assert!(matches!(changes.files[1].content, Content::Unknown(_)));
    assert_eq!(of_tool("get_me", &arguments), None);

    let body = json!({"query": "mutation($i: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $i) { clientMutationId } }",
        "variables": {"i": {"branch": {"repositoryNameWithOwner": "a/b", "branchName": "main"}, "message": {"headline": "h"},
            "fileChanges": {"additions": [{"path": "p", "contents": "/wA="}], "deletions": [{"path": "q"}]}}}});
    let changes = of_graphql(&body).unwrap();
    assert_eq!(changes.message.as_deref(), Some("h"));
    assert_eq!(changes.files[0].content, Content::Binary { size: 2 });
    assert_eq!(changes.files[1].content, Content::Deleted);
    let inline =
        json!({"query": "mutation { createCommitOnBranch(input: {}) { clientMutationId } }"});
    assert!(matches!(
        of_graphql(&inline).unwrap().files[0].content,
        Content::Unknown(_)
    ));
}
