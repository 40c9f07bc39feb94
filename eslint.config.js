import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["site/", "build/", "dist/", ".venv/"] },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: "error",
      // A part of an object that is to be left out is named for it.
      "no-unused-vars": ["error", { ignoreRestSiblings: true }],
      "no-implicit-globals": "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  {
    files: ["captiv/gui/static/js/**/*.js"],
    languageOptions: { globals: globals.browser },
    rules: { "max-lines": ["error", 400] },
  },
  // What decides knows no browser.
  { files: ["captiv/gui/static/js/editing/*.js"], languageOptions: { globals: Object.fromEntries(Object.keys(globals.browser).map((name) => [name, "off"])) } },
  { files: ["tests/page/*.js", "eslint.config.js"], languageOptions: { globals: globals.node } },
];
