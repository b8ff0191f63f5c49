// What a URL in a group means for one entry: only what lies in its scope, by its filter, and nothing where it is no URL.
// Whose administrators a group names, by where it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterFor, isGroupOf } from '../../../src/identity/ldap/administrators.ts';
import { filterText } from '../../../src/wire/ldap-filter.ts';

const JOE = 'uid=joe,ou=People,o=siroe.com,o=internet';
const PEOPLE = 'ou=People,o=siroe.com,o=internet';
const ANY = '(objectClass=*)';

const ROWS: readonly (readonly [url: string, filter: string | null])[] = [
  [`ldap:///${PEOPLE}??sub?(uid=joe)`, '(uid=joe)'],
  [`ldap:///${PEOPLE}??one?(uid=joe)`, '(uid=joe)'],
  [`LDAPS://ldap.example.com:636/${PEOPLE}?uid?SUB?(uid=joe)`, '(uid=joe)'],
  [`ldap:///o=siroe.com,o=internet??sub`, ANY],
  [`ldap:///OU=people,%20O=Siroe.com,o=internet??sub?`, ANY],
  [`ldap:///o=siroe.com,o=internet??one?(uid=joe)`, null],
  [`ldap:///${JOE}??base?(a=%2a)`, '(a=*)'],
  [`ldap:///${JOE}?`, ANY],
  [`ldap:///${JOE}`, ANY],
  [`ldap:///${PEOPLE}`, null],
  [`ldap:///${PEOPLE}??base?(uid=joe)`, null],
  [`ldap:///${PEOPLE}??subordinates?(uid=joe)`, null],
  [`ldap:///ou=Other,o=siroe.com,o=internet??sub?(uid=joe)`, null],
  [`ldap:///??sub?(uid=joe)`, null],
  [`ldap:///${PEOPLE}??sub?(uid=joe`, null],
  [`ldap:///${PEOPLE}??sub?(uid=\\zz)`, null],
  [`ldap:///${PEOPLE}??sub?(uid=%zz)`, null],
  [`http:///${PEOPLE}??sub?(uid=joe)`, null],
  [`ldap:///${PEOPLE}??sub?(uid=a\\2ab)`, '(uid=a\\2ab)'],
  ['', null],
];

for (const [url, expected] of ROWS) {
  test(`${JSON.stringify(url)} asks of joe ${expected ?? 'nothing'}`, () => {
    const filter = filterFor(JOE, url);
    assert.equal(filter === null ? null : filterText(filter), expected);
  });
}

const GROUPS: readonly (readonly [group: string, isOwn: boolean])[] = [
  ['cn=Admins,o=siroe.com,o=internet', true],
  ['cn=Admins,ou=Groups,o=siroe.com,o=internet', true],
  ['cn=Admins,OU=Mail+ou=Groups,ou=All,O=Siroe.com,o=internet', true],
  ['o=siroe.com,o=internet', true],
  ['cn=Admins,ou=Groups,o=sub.com,o=siroe.com,o=internet', false],
  ['cn=Admins,dc=sub,o=siroe.com,o=internet', false],
  ['cn=Admins,ou=Groups+o=sub.com,o=siroe.com,o=internet', false],
  ['cn=Admins,=', false],
];

for (const [group, isOwn] of GROUPS) {
  test(`${group} is ${isOwn ? '' : 'not '}a group of siroe.com`, () => {
    assert.equal(isGroupOf(group, 'o=siroe.com,o=internet'), isOwn);
  });
}
