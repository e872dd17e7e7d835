//! Pagination of lists.

/// The default number of items per page.
const PER_PAGE_DEFAULT: usize = 30;
/// The maximum number of items per page.
pub const PER_PAGE_MAX: usize = 100;

/// A request for one page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The number of the page, from 1.
    pub number: usize,
    /// The number of items per page, 1 to [`PER_PAGE_MAX`].
    pub per_page: usize,
}

impl PageRequest {
    /// Interprets `page` and `per_page` as GitHub does: absent and zero mean the default, and more
    /// than the maximum means the maximum.
    pub fn new(number: Option<usize>, per_page: Option<usize>) -> Self {
        let per_page = per_page
            .filter(|&count| count > 0)
            .unwrap_or(PER_PAGE_DEFAULT);
        Self {
            number: number.unwrap_or(1).max(1),
            per_page: per_page.min(PER_PAGE_MAX),
        }
    }

    /// Cuts this page out of the whole list.
    pub fn cut<T>(self, all: impl ExactSizeIterator<Item = T>) -> Page<T> {
        let total_count = all.len();
        let skipped = (self.number - 1).saturating_mul(self.per_page);
        Page {
            items: all.skip(skipped).take(self.per_page).collect(),
            total_count,
            request: self,
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items on this page; empty beyond the end of the list.
    pub items: Vec<T>,
    /// The length of the whole list.
    pub total_count: usize,
    pub request: PageRequest,
}

impl<T> Page<T> {
    /// The number of the last page; 1 for an empty list.
    pub fn last_number(&self) -> usize {
        self.total_count.div_ceil(self.request.per_page).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_requests_are_brought_into_range() {
        for (number, per_page, expected) in [
            (None, None, (1, 30)),
            (Some(0), Some(0), (1, 30)),
            (Some(3), Some(7), (3, 7)),
            (Some(2), Some(100), (2, 100)),
            (Some(2), Some(101), (2, 100)),
            (Some(usize::MAX), Some(usize::MAX), (usize::MAX, 100)),
        ] {
            let request = PageRequest::new(number, per_page);
            assert_eq!((request.number, request.per_page), expected);
        }
    }

    #[test]
    fn pages_cover_the_list_and_are_empty_beyond_it() {
        for (total_count, per_page, number, expected, last) in [
            (5, 2, 1, vec![0, 1], 3),
            (5, 2, 3, vec![4], 3),
            (5, 2, 4, vec![], 3),
            (4, 2, 2, vec![2, 3], 2),
            (0, 2, 1, vec![], 1),
            (5, 2, usize::MAX, vec![], 3),
        ] {
            let page = PageRequest::new(Some(number), Some(per_page)).cut(0..total_count);
            assert_eq!(page.items, expected);
            assert_eq!((page.total_count, page.last_number()), (total_count, last));
        }
    }
}
