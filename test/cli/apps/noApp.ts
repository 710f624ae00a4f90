/** What `--app` must refuse: a module without an application. */
export const answer = 42;
export default { answer };
