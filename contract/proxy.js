// A proxy between our client and the emulated GitHub, which validates requests and responses against
// the API description that GitHub publishes.
//
// usage: node proxy.js <base URL of the emulated GitHub>
//
// Prints its own base URL, and then one line of JSON for every violation of the description:
// { "request", "severity", "message" }. An invalid request (severity "Error") is not forwarded; the
// response to it, and the one instead of an invalid response, is a 500 with the message. What the
// description does not contain, such as an unlisted status, is forwarded (severity "Warning").
//
// Ends when its standard input is closed, so that it does not outlive its parent process. Forwards
// bodies byte for byte; follows no redirects, unlike Prism's own proxy.

import { readFile } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

import prism from "@stoplight/prism-http";

/** The paths that we use; the whole description would take ten times as long to load. */
const USED =
    /^\/(orgs\/\{org\}|repos\/\{owner\}\/\{repo\})\/actions\/(runners|runs|artifacts)|^\/app\/installations\/\{installation_id\}\/access_tokens$/;
/**
 * Documented on GitHub's pages since September 2026 (REST API, self-hosted runners), but not yet in its
 * description: below each of the two paths, with this response.
 */
const ONLY_ON_PAGES = ["/orgs/{org}", "/repos/{owner}/{repo}"].map((scope) => `${scope}/actions/runners/deprecations/{version}`);
const ONLY_ON_PAGES_ANSWER = {
    type: "object",
    required: ["runner_version"],
    properties: {
        runner_version: { type: "string" },
        runtime_deprecates_at: { type: "string", format: "date-time", nullable: true },
        registration_deprecates_at: { type: "string", format: "date-time", nullable: true },
    },
};
/** Headers that apply to one connection only (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding"];
/** Longer than clients keep idle connections, in milliseconds. */
const KEEP_ALIVE_TIMEOUT = 75_000;

const upstream = process.argv[2];
const agent = new http.Agent({ keepAlive: true });
const silent = Object.fromEntries(["info", "warn", "error", "debug", "success"].map((level) => [level, () => {}]));
const logger = { ...silent, child: () => logger };
const operations = await prism.getHttpOperationsFromSpec(await description());

const server = http.createServer((request, reply) => {
    // A connection to GitHub that ends without a response ends ours, too.
    handle(request, reply).catch(() => reply.destroy());
});
server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT;
server.listen(0, "127.0.0.1", () => print(`http://127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();

/** GitHub's description of the paths that we use. */
async function description() {
    const file = createRequire(import.meta.url).resolve("@octokit/openapi/generated/api.github.com.json");
    const { openapi, info, servers, components, paths: all } = JSON.parse(await readFile(file, "utf8"));
    const described = Object.entries(all).filter(([path]) => USED.test(path));
    const paths = Object.fromEntries([...ONLY_ON_PAGES.map((path) => [path, onlyOnPages(path)]), ...described]);
    return { openapi, info, servers, paths, components: referred(paths, components) };
}

/** The description of a path that GitHub's own does not contain. */
function onlyOnPages(path) {
    const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
        name,
        in: "path",
        required: true,
        schema: { type: "string" },
    }));
    const content = { "application/json": { schema: ONLY_ON_PAGES_ANSWER } };
    return { get: { parameters, responses: { 200: { description: "until when it is supported", content } } } };
}

/** The parts of `components` that `paths` refers to, directly or indirectly. */
function referred(paths, components) {
    const found = {};
    const follow = (_key, value) => {
        const [, , kind, name] = value?.$ref?.split("/") ?? [];
        if (name && !found[kind]?.[name]) {
            (found[kind] ??= {})[name] = components[kind][name];
            JSON.stringify(components[kind][name], follow);
        }
        return value;
    };
    JSON.stringify(paths, follow);
    return found;
}

async function handle(request, reply) {
    const { pathname, searchParams } = new URL(request.url, upstream);
    const body = await text(request);
    const question = {
        method: request.method.toLowerCase(),
        url: { path: pathname, query: Object.fromEntries(searchParams) },
        headers: request.headers,
        body: parsed(request.headers, body),
    };
    let answer;
    // Called after the validation of the request, with its violations.
    const forward = ({ validations }) => () => async () => {
        if (validations.length > 0) {
            return { _tag: "Left", left: { additional: { validation: validations } } };
        }
        answer = await ask(request, body);
        const { status, headers } = answer;
        return { _tag: "Right", right: { statusCode: status, headers, body: parsed(headers, answer.body) } };
    };
    const config = { isProxy: true, upstream: new URL(upstream), validateRequest: true, validateResponse: true, errors: true };
    const result = await prism.createInstance(config, { logger, forward }).request(question, operations)();

    const line = `${request.method} ${request.url}`;
    const problems = problemsOf(result, answer).map((problem) => ({ request: line, ...problem }));
    problems.forEach((problem) => print(JSON.stringify(problem)));
    const wrong = problems.filter(({ severity }) => severity === "Error");
    if (wrong.length > 0) {
        reply.writeHead(500, { "content-type": "application/json" });
        reply.end(JSON.stringify({ message: wrong.map(({ message }) => message).join("; ") }));
    } else {
        reply.writeHead(answer.status, answer.headers);
        reply.end(answer.body);
    }
}

/** Violations of the description. */
function problemsOf(result, answer) {
    if (result._tag === "Right") {
        return described(`answer ${answer.status}`, result.right.validations.output);
    }
    const error = result.left;
    if (error.code !== undefined) {
        // GitHub is unreachable, or closed the connection.
        throw error;
    }
    const { validation } = error.additional ?? {};
    return validation ? described("question", validation) : [{ severity: "Error", message: `question: ${error.detail}` }];
}

function described(part, validations) {
    return validations.map(({ severity, path, message }) => ({
        severity: severity === 0 ? "Error" : "Warning",
        message: `${[part, ...(path ?? [])].join(".")}: ${message}`,
    }));
}

/** Forwards a request to GitHub, and reads the response. */
function ask(request, body) {
    return new Promise((resolve, reject) => {
        const { method, headers } = request;
        const onward = http.request(upstream + request.url, { method, headers: passed(headers), agent });
        onward.on("error", reject).on("response", (response) => {
            const answer = (body) => ({ status: response.statusCode, headers: passed(response.headers), body });
            text(response).then(answer).then(resolve, reject);
        });
        onward.end(body);
    });
}

function passed(headers) {
    return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
}

function parsed(headers, body) {
    const isJson = headers["content-type"]?.startsWith("application/json");
    return isJson && body ? JSON.parse(body) : body || undefined;
}

function print(line) {
    process.stdout.write(`${line}\n`);
}
