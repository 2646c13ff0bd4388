// The views of the page, as elements that the layout holds: <check-view>, <sort-view>, <teach-view>, <scores-view>,
// <reports-view>.
import "./check.js";
import "./sort.js";
import "./teach.js";
import "./scores.js";
import "./reports.js";

document.documentElement.lang = "en";
