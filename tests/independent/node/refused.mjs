// What this client says when it refuses, or when the server does.

export class Refused extends Error {
  constructor(code, members = {}) {
    super(code);
    this.code = code;
    this.members = members;
  }
}
