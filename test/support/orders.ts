/** A small domain for the framework's tests: orders that are placed, shipped and cancelled. */
import { IsIn, IsInt, IsOptional, IsString, Min } from 'class-validator';
import { Aggregate, AggregateRoot, Apply, Event, Filterable } from '../../src/index.js';

@Event({ type: 'OrderPlaced', version: 1 })
export class OrderPlaced {
  @IsString() customer!: string;
  @IsInt() @Min(1) @Filterable() cents!: number;
  @IsOptional() @IsIn(['DE', 'FR']) @Filterable() country?: 'DE' | 'FR';
}

@Event({ type: 'OrderShipped', version: 1 })
export class OrderShipped {
  @IsString() carrier!: string;
}

@Event({ type: 'OrderNoted', version: 1 })
export class OrderNoted {
  @IsString() note!: string;
}

@Aggregate({ topic: 'orders', stream: 'order' })
export class Order extends AggregateRoot {
  cents = 0;
  carrier: string | undefined;
  notes: string[] = [];

  place(customer: string, cents: number): void {
    if (this.cents > 0) throw new Error('the order is placed already');
    this.apply(OrderPlaced, { customer, cents });
  }

  ship(carrier: string): void {
    if (this.cents === 0) throw new Error('the order is not placed');
    if (this.carrier === undefined) this.apply(OrderShipped, { carrier });
  }

  note(note: string): void {
    this.apply(OrderNoted, { note });
  }

  @Apply(OrderPlaced) protected onPlaced({ cents }: OrderPlaced): void {
    this.cents = cents;
  }

  @Apply(OrderShipped) protected onShipped({ carrier }: OrderShipped): void {
    this.carrier = carrier;
  }

  @Apply(OrderNoted) protected onNoted({ note }: OrderNoted): void {
    this.notes.push(note);
  }
}
