//! Pagination over HTTP: the query of a list, and the `Link` header with the other pages.

use actix_web::HttpRequest;
use serde::Deserialize;

use crate::model::{Direction, Page, PageRequest};

/// The query of a list. An invalid number counts as absent, as at GitHub.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    page: Option<String>,
    per_page: Option<String>,
    direction: Option<String>,
    pub(super) name: Option<String>,
}

impl ListQuery {
    pub(super) fn page(&self) -> PageRequest {
        let number = |text: &Option<String>| text.as_ref()?.parse().ok();
        PageRequest::new(number(&self.page), number(&self.per_page))
    }

    pub(super) fn direction(&self) -> Direction {
        match self.direction.as_deref() {
            Some("asc") => Direction::Ascending,
            _ => Direction::Descending,
        }
    }
}

/// The `Link` header of a list with more than one page.
pub(super) fn link<T>(base_url: &str, request: &HttpRequest, page: &Page<T>) -> Option<String> {
    let (number, last) = (page.request.number, page.last_number());
    let link_to = |number: usize, rel: &str| {
        let query = with_page(request.query_string(), number);
        format!("<{base_url}{}?{query}>; rel=\"{rel}\"", request.path())
    };
    let mut links = Vec::new();
    if number > 1 {
        links.push(link_to(number.min(last + 1) - 1, "prev"));
    }
    if number < last {
        links.push(link_to(number + 1, "next"));
        links.push(link_to(last, "last"));
    }
    if number > 1 {
        links.push(link_to(1, "first"));
    }
    (!links.is_empty()).then(|| links.join(", "))
}

/// The query for another page of the same list.
fn with_page(query: &str, number: usize) -> String {
    let page = format!("page={number}");
    query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("page="))
        .chain([page.as_str()])
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn links_keep_the_query_and_name_the_other_pages() {
        for (total, query, expected) in [
            (30, "", vec![]),
            (31, "", vec![("page=2", "next"), ("page=2", "last")]),
            (
                250,
                "per_page=100&page=2&name=a%20b",
                vec![
                    ("per_page=100&name=a%20b&page=1", "prev"),
                    ("per_page=100&name=a%20b&page=3", "next"),
                    ("per_page=100&name=a%20b&page=3", "last"),
                    ("per_page=100&name=a%20b&page=1", "first"),
                ],
            ),
            (31, "page=2", vec![("page=1", "prev"), ("page=1", "first")]),
            (31, "page=9", vec![("page=2", "prev"), ("page=1", "first")]),
        ] {
            let request = TestRequest::with_uri(&format!("/list?{query}")).to_http_request();
            let list = actix_web::web::Query::<ListQuery>::from_query(query).unwrap();
            let page = list.page().cut(0..total);
            let expected: Vec<String> = expected
                .iter()
                .map(|(query, rel)| format!("<http://host/list?{query}>; rel=\"{rel}\""))
                .collect();
            let expected = (!expected.is_empty()).then(|| expected.join(", "));
            assert_eq!(
                link("http://host", &request, &page),
                expected,
                "{total} {query}"
            );
        }
    }

    #[test]
    fn an_invalid_number_counts_as_absent() {
        for query in [
            "",
            "page=x&per_page=-1",
            "page=&per_page=",
            "page=0&per_page=0",
        ] {
            let list = actix_web::web::Query::<ListQuery>::from_query(query).unwrap();
            assert_eq!(list.page(), PageRequest::new(None, None), "{query}");
        }
    }

    #[test]
    fn the_default_direction_is_newest_first() {
        for (query, direction) in [
            ("", Direction::Descending),
            ("direction=desc", Direction::Descending),
            ("direction=asc", Direction::Ascending),
            ("direction=up", Direction::Descending),
        ] {
            let list = actix_web::web::Query::<ListQuery>::from_query(query).unwrap();
            assert_eq!(list.direction(), direction, "{query}");
        }
    }
}
