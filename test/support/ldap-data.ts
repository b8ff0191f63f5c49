// Domains and users of a directory as Sun's servers keep it, for tests that ask for them.

import { COM, dcDomain, entry, organisation, PROXY, user } from './ldap-site.ts';

export const SIROE = 'ou=People,o=siroe.com,o=internet';

/** Names of users that would be more than a name in a filter; the first three are of nobody. */
export const ODD = ['*', 'joe*', 'joe)(uid=*', '(joe)', 'a\\b', 'ü(ñ)', 'j,oe', '#x'];

export const DATA = [
  COM,
  PROXY,
  dcDomain('siroe.com'),
  organisation('siroe.com', { sunPreferredDomain: 'siroe.com', associatedDomain: 'siroe.net' }),
  user('joe', SIROE, { mail: 'joe@x.com', empID: '4711', mailSMTPSubmitChannel: 'tcp_bank' }),
  user('john_siroe.com', SIROE),
  user('anna', SIROE, { mailHost: ['store2.siroe.com'], loginAddress: '203.0.113.9', empID: '192.0.2.10' }),
  user('held', SIROE, { mailUserStatus: 'hold' }),
  user('gone', SIROE, { mailUserStatus: 'deleted' }),
  user('off', SIROE, { inetUserStatus: 'Inactive' }),
  user('full', SIROE, { mailUserStatus: 'overquota' }),
  user('guarded', SIROE, { mailAllowedServiceAccess: '+imaps:*' }),
  user('twin', SIROE),
  entry(`cn=other twin,${SIROE}`, ['inetOrgPerson'], { cn: 'other twin', sn: 'twin', uid: 'twin' }),
  ...ODD.slice(3).map((uid) => user(uid, SIROE)),
  user('certain', SIROE, { certSubjectDN: 'cn=Certain,o=Siroe' }),
  user('flat@siroe.com', SIROE),
  dcDomain('yoyo.com', { mailAccessProxyReplay: '%U@%V' }),
  organisation('yoyo.com'),
  user('hugo', 'ou=People,o=yoyo.com,o=internet', { mailHost: 'store1.yoyo.com' }),
  dcDomain('badge.com', { inetDomainSearchFilter: '(&(objectclass=inetOrgPerson)(empID=%U))' }),
  organisation('badge.com'),
  user('erna', 'ou=People,o=badge.com,o=internet', { empID: '0815' }),
  dcDomain('compound.com', { inetDomainSearchFilter: 'uid=%U_%V', mailAccessProxyReplay: '%[sn]' }),
  organisation('compound.com'),
  user('john_compound.com', 'ou=People,o=compound.com,o=internet', { sn: 'Smith' }),
  dcDomain('closed.com', { inetDomainStatus: 'inactive' }),
  organisation('closed.com'),
  user('otto', 'ou=People,o=closed.com,o=internet'),
  dcDomain('moving.com', { mailDomainStatus: 'hold', preferredMailHost: 'store9.moving.com' }),
  organisation('moving.com'),
  user('otto', 'ou=People,o=moving.com,o=internet', { mailHost: [] }),
  dcDomain('rules.com', { mailDomainAllowedServiceAccess: '+imap:*', mailAccessProxyPreAuth: 'no' }),
  organisation('rules.com'),
  user('otto', 'ou=People,o=rules.com,o=internet', { mailAllowedServiceAccess: '-pop:*' }),
  dcDomain('broken.com', { inetDomainSearchFilter: '(uid=%Q)' }),
  organisation('broken.com'),
  entry('dc=alias,dc=com,o=internet', ['alias', 'extensibleObject', 'inetDomainAlias'], {
    dc: 'alias',
    aliasedObjectName: 'dc=siroe,dc=com,o=internet',
  }),
].join('');
